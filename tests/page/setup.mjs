// What a test begins with: a broker or a mock of it, a cable to it, and the page.

import assert from 'node:assert/strict'
import { open, untilLive } from './browser.mjs'
import { Cable } from './cable.mjs'
import { Mock } from './mock.mjs'

/** The page, live, over a cable; without `base` of a mock that begins with `scene`. */
export async function setUp({ browser, base, after }, { scene = {}, hash = '', isLogin = false, ...options } = {}) {
  const mock = base ? null : new Mock(scene)
  if (mock) after(() => mock.close())
  const cable = new Cable(base ?? await mock.listen())
  after(() => cable.close())
  const url = await cable.plug()
  const { page, problems, close } = await open(browser, `${url}/${hash}`, options)
  after(close)
  if (!isLogin) {
    if (process.env.DOCKSIDE_PAGE_USER && base) {
      await logIn(page, process.env.DOCKSIDE_PAGE_USER, process.env.DOCKSIDE_PAGE_PASSWORD ?? '')
    }
    await untilLive(page)
  }
  return { mock, cable, url, page, problems }
}

export async function logIn(page, user, password) {
  await page.waitForSelector('#login:not([hidden])')
  await page.type('#login-user', user)
  await page.type('#login-password', password)
  await page.keyboard.press('Enter')
}

/** Asked by the page itself, with its cookie. */
export const ask = (page, path) => page.evaluate(async (p) => (await fetch(p)).json(), path)

export const none = (problems) => assert.deepEqual(problems, [], 'the browser complains')

/** Waits for what no page shows. */
export async function untilTrue(what, condition) {
  for (let turns = 0; turns < 1_000; turns++) {
    if (await condition()) return
    await new Promise((done) => setTimeout(done, 20))
  }
  throw new Error(`never came: ${what}`)
}
