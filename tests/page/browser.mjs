// A real browser, and waiting for what is on the page.

import { execSync } from 'node:child_process'
import puppeteer from 'puppeteer-core'

const WAIT_MS = 20_000

export async function launch() {
  const find = 'command -v chromium || command -v chromium-browser || command -v google-chrome'
  const executablePath = process.env.CHROMIUM || execSync(find, { shell: '/bin/sh' }).toString().trim()
  return puppeteer.launch({ executablePath, args: ['--headless=new', '--no-sandbox', '--disable-gpu'] })
}

/** A page of its own cookies; `problems` has what the browser complained about. */
export async function open(browser, url, { width = 1440, height = 900, dark = false, before } = {}) {
  const context = await browser.createBrowserContext()
  const page = await context.newPage()
  page.setDefaultTimeout(WAIT_MS)
  await page.setViewport({ width, height })
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }])
  const problems = []
  page.on('pageerror', (error) => problems.push(`error: ${error.message}`))
  page.on('dialog', (dialog) => {
    problems.push(`dialog: ${dialog.message()}`)
    dialog.dismiss()
  })
  page.on('console', (message) => {
    // A connection that is cut and a 401 are said by the browser itself.
    if (message.type() === 'error' && !/Failed to load resource|net::ERR/.test(message.text())) problems.push(message.text())
  })
  await before?.(page)
  await page.goto(url, { waitUntil: 'load' })
  return { page, problems, close: () => context.close() }
}

/** Waits until `condition` holds in the page; fails with `what` and what the page shows instead. */
export async function until(page, what, condition, ...args) {
  try {
    await page.waitForFunction(condition, { polling: 50, timeout: WAIT_MS }, ...args)
  } catch (error) {
    const shown = await page.evaluate(() => document.body.innerText.slice(0, 1500)).catch(() => '')
    throw new Error(`never came: ${what} (${error.message})\n--- the page shows\n${shown}`)
  }
}

export const textOf = (page, selector) => page.$eval(selector, (element) => element.innerText)

export const untilText = (page, selector, part) =>
  until(page, `"${part}" in ${selector}`, (s, p) => {
    const element = document.querySelector(s)
    // What is not shown has a text as well.
    return element?.checkVisibility() && element.innerText.includes(p)
  }, selector, part)

export const untilLive = (page) => untilText(page, '#live', 'live').then(() =>
  until(page, 'live', () => document.querySelector('#live').dataset.state === 'live'))

/** Presses Tab until the focus is on what `selector` names. */
export async function tabTo(page, selector, atMost = 60) {
  for (let presses = 0; presses < atMost; presses++) {
    await page.keyboard.press('Tab')
    if (await page.evaluate((s) => document.activeElement?.matches(s), selector)) return
  }
  throw new Error(`the keyboard does not reach ${selector}`)
}
