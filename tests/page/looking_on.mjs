// The traffic view at a broker: what a client publishes is seen. Its MQTT address is in DOCKSIDE_PAGE_MQTT.

import assert from 'node:assert/strict'
import http from 'node:http'
import { until, untilText } from './browser.mjs'
import { publisher } from './publisher.mjs'
import { none, setUp, untilTrue } from './setup.mjs'

const MARKUP = '<img src=x onerror=alert(1)>'
const READERS = 8

async function begin(context, filter) {
  const all = await setUp(context)
  await look(all.page, filter)
  return all
}

async function look(page, filter) {
  await page.$eval('#traffic-filter', takeUp)
  await page.type('#traffic-filter', filter)
  await page.keyboard.press('Enter')
  await untilText(page, '#traffic-said', `What matches “${filter}” is shown`)
}

async function client(context, name) {
  const one = await publisher(process.env.DOCKSIDE_PAGE_MQTT, name)
  context.after(() => one.end())
  return one
}

async function publishedIsSeen(context) {
  const { page, problems } = await begin(context, 'page/+/seen')
  const { publish } = await client(context, `page ${MARKUP}`)
  publish('page/a/unseen', 'no')
  publish(`page/${MARKUP}/seen`, `{"text":"${MARKUP}","n":12345678901234567890}`)
  publish('page/b/seen', Buffer.from([0, 255]))
  publish('page/long/seen', JSON.stringify({ long: 'x'.repeat(3000) }))
  await until(page, 'three messages', () => document.querySelectorAll('#passing details').length === 3)
  await untilText(page, '#passing li:nth-child(3)', `“page ${MARKUP}”`)
  await untilText(page, '#passing li:nth-child(3)', `page/${MARKUP}/seen`)
  await untilText(page, '#passing li:nth-child(2)', '0x00ff')
  await page.$$eval('#passing summary', (all) => all.forEach((one) => one.click()))
  await untilText(page, '#passing li:nth-child(3) pre', `"text": "${MARKUP}",\n  "n": 12345678901234567890`)
  await untilText(page, '#passing li:nth-child(1)', '3,011 bytes, the first 1,024 are shown')
  assert.equal(await page.$('img'), null, 'text became an element')
  // Another filter begins anew.
  await look(page, 'page/other')
  publish('page/c/seen', 'no')
  publish('page/other', 'yes')
  await untilText(page, '#passing', 'page/other')
  assert.equal(await page.$$eval('#passing details', (all) => all.length), 1)
  none(problems)
}

/** In place of a click: rows above come and go while docks fly, and what is clicked at may be somewhere else by then. */
function takeUp(input) {
  input.focus()
  input.select()
}

async function wrongFilterIsExplained(context) {
  const { page, problems } = await setUp(context)
  for (const [filter, words] of [['a/#/b', 'is no topic filter'], ['$share/g/a', 'leave out $share/name/'], [' ', 'is no topic filter']]) {
    await page.$eval('#traffic-filter', takeUp)
    await page.type('#traffic-filter', filter)
    await page.keyboard.press('Enter')
    await untilText(page, '#traffic-said', words)
  }
  none(problems)
}

async function placeIsGivenBack(context) {
  const { page } = await begin(context, 'page/place')
  // No fetch: an answer of one that nobody reads is collected, and its connection with it.
  const tail = () => new Promise((done, failed) => {
    const asking = http.get(`${context.base}/api/v1/tail?filter=page/place`, { agent: false }, ({ statusCode }) => done(statusCode))
    asking.on('error', failed)
    context.after(() => asking.destroy())
  })
  for (let taken = 1; taken < READERS; taken++) assert.equal(await tail(), 200)
  assert.equal(await tail(), 503, 'the page has a place')
  // One who comes too late is told.
  const { page: late } = await setUp(context)
  await late.click('#traffic-start')
  await untilText(late, '#traffic-said', `${READERS} others look on already`)
  await page.click('#traffic-stop')
  await untilText(page, '#traffic-said', 'Stopped')
  await untilTrue('the broker has a place again', async () => await tail() === 200)
}

async function leftOutIsTold(context) {
  const { page, problems } = await begin(context, 'page/flood')
  const { publish } = await client(context, 'page-flood')
  for (let n = 0; n < 2_000; n++) publish('page/flood', String(n))
  await untilText(page, '#traffic-counts', 'left out. A narrower filter shows more.')
  await untilText(page, '#passing .gap', 'messages left out')
  none(problems)
}

export const lookingOn = [
  { name: 'traffic: what a client publishes is seen, as text', run: publishedIsSeen },
  { name: 'traffic: a wrong filter is explained by the broker', run: wrongFilterIsExplained },
  { name: 'traffic: what comes too fast is left out, and told', run: leftOutIsTold },
  { name: 'traffic: a stop gives the place back', run: placeIsGivenBack },
]
