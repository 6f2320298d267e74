// The traffic view, played by a mock broker.

import assert from 'node:assert/strict'
import { tabTo, textOf, until, untilLive, untilText } from './browser.mjs'
import { message, night } from './scenes.mjs'
import { logIn, none, setUp, untilTrue } from './setup.mjs'

const begin = async (context, options) => {
  const all = await setUp(context, options)
  const { mock, page } = all
  await page.click('#traffic-start')
  await untilText(page, '#traffic-said', 'What matches “#” is shown')
  assert.equal(mock.tails.size, 1)
  return all
}

const rows = (page, count) =>
  until(page, `${count} messages`, (n) => document.querySelectorAll('#passing details').length === n, count)

const openFirst = (page) => page.click('#passing summary')

async function messagesAreShown(context) {
  const { mock, page, problems } = await begin(context)
  mock.pass(
    message({ topic: 'a/json', text: '{"n":12345678901234567890,"list":[1,{}],"s":"a, b"}', time_ms: new Date(2026, 0, 2, 3, 4, 5, 60).getTime() }),
    message({ topic: 'a/bytes', hex: '00ff10', retain: true, qos: 0, client: null, is_broker: true }),
    message({ topic: 'a/none', text: '', client: null }),
    message({ topic: 'a/cut', text: '{"a":{"b":"cut he', is_cut: true, bytes: 5000 }),
  )
  await rows(page, 4)
  const lines = await page.$$eval('#passing summary', (all) => all.map((one) => one.innerText.replace(/\s+/g, ' ').trim()))
  assert.match(lines[0], /“SIMDOCK1” QoS 1 a\/cut {"a":{"b":"cut he$/, 'the newest is the first')
  assert.match(lines[1], /\(gone\) QoS 1 a\/none empty$/)
  assert.match(lines[2], /\(broker\) QoS 0 retained a\/bytes 0x00ff10$/)
  assert.match(lines[3], /^2026-01-02 03:04:05\.060 “SIMDOCK1”/)
  assert.equal(await page.$('#passing pre'), null, 'nothing is written before it is looked at')
  await page.$$eval('#passing summary', (all) => all.forEach((one) => one.click()))
  await until(page, 'four payloads', () => document.querySelectorAll('#passing pre').length === 4)
  const payloads = await page.$$eval('#passing pre', (all) => all.map((one) => one.textContent))
  assert.equal(payloads[3], '{\n  "n": 12345678901234567890,\n  "list": [\n    1,\n    {}\n  ],\n  "s": "a, b"\n}', 'as it was sent, moved in')
  assert.equal(payloads[2], '00 ff 10')
  assert.equal(payloads[0], '{\n  "a": {\n    "b": "cut he')
  await untilText(page, '#passing', '5,000 bytes, the first 17 are shown')
  await untilText(page, '#traffic-counts', '4 messages.')
  assert.equal(await textOf(page, '#told'), '', 'no message is read out')
  none(problems)
}

async function methodIsNamed(context) {
  const { mock, page } = await begin(context)
  const texts = [
    '{"bid":"b","data":{"method":"inner"},"method":"flighttask_progress"}', '{"data":{"method":"inner"}', '["method",{"method":"inner"}]',
    '{"method":["x"]}', '{"a":"method","b":1}', '{"method":"<b>"}', '{"method":"cut', '"method":"x"', '{"method"',
  ]
  mock.pass(...texts.map((text) => message({ text, is_cut: true, bytes: 2000 })))
  await rows(page, texts.length)
  const names = await page.$$eval('#passing details', (all) => all.map((one) => one.querySelector('strong')?.innerText ?? null).reverse())
  assert.deepEqual(names, ['flighttask_progress', ...Array(texts.length - 1).fill(null)])
}

async function addressLeadsHere(context) {
  const { page } = await setUp(context, { scene: night(), hash: '#traffic' })
  await until(page, 'the section', () => {
    const { top, bottom } = document.querySelector('#traffic-form').getBoundingClientRect()
    return top > 0 && bottom < window.innerHeight
  })
}

async function filterChanges(context) {
  const { mock, page, problems } = await begin(context)
  mock.pass(message())
  await rows(page, 1)
  await page.click('#traffic-filter', { count: 3 })
  await page.type('#traffic-filter', 'a b/+/ü&c=#')
  await page.keyboard.press('Enter')
  await untilText(page, '#traffic-said', 'What matches “a b/+/ü&c=#” is shown')
  await rows(page, 0)
  assert.ok(mock.asked.includes(`GET /api/v1/tail?filter=${encodeURIComponent('a b/+/ü&c=#')}`))
  await untilTrue('one place is taken, not two', () => mock.tails.size === 1)
  none(problems)
}

async function stopEndsIt(context) {
  const { mock, page } = await begin(context)
  mock.pass(message())
  await rows(page, 1)
  await tabTo(page, '#traffic-stop')
  await page.keyboard.press('Enter')
  await untilText(page, '#traffic-said', 'Stopped')
  await untilTrue('no place is taken', () => mock.tails.size === 0)
  await until(page, 'the focus stays here', () => document.activeElement.id === 'traffic-start')
  await rows(page, 1)
  await until(page, 'no stop', () => document.querySelector('#traffic-stop').hidden)
}

async function wrongFilterIsExplained(context) {
  const { mock, page, problems } = await setUp(context)
  mock.refusal = { status: 400, text: '"a/#/b" is no topic filter: + and # stand alone in a level, # at the end\n' }
  await page.click('#traffic-start')
  await untilText(page, '#traffic-said', 'is no topic filter: + and # stand alone in a level, # at the end')
  await until(page, 'the focus on what is wrong', () => document.activeElement.matches('#traffic-filter[aria-invalid=true]'))
  mock.refusal = { status: 503, text: '8 others look on already; try again later\n' }
  await page.click('#traffic-start')
  await untilText(page, '#traffic-said', '8 others look on already; try again later')
  assert.equal(await page.$('#traffic-filter[aria-invalid]'), null)
  mock.refusal = null
  await page.click('#traffic-start')
  await untilText(page, '#traffic-said', 'is shown')
  none(problems)
}

async function leftOutIsTold(context) {
  const { mock, page } = await begin(context)
  mock.pass(message({ topic: 'before' }))
  mock.leaveOut(800)
  mock.leaveOut(200, 1)
  mock.pass(message({ topic: 'behind' }))
  mock.leaveOut(34)
  await untilText(page, '#traffic-counts', '2 messages. Too fast to be shown: 1,034 messages left out, 1 batch of messages went by unseen. A narrower filter shows more.')
  const lines = await page.$$eval('#passing li', (all) => all.map((one) => one.innerText))
  assert.equal(lines.length, 4, 'what goes on is one row')
  assert.match(lines[0], /34 messages left out\.$/)
  assert.match(lines[2], /1,000 messages left out, 1 batch of messages went by unseen\.$/)
}

async function rowsAreBounded(context) {
  const { mock, page, problems } = await begin(context)
  await page.evaluate(() => {
    window.changes = 0
    new MutationObserver(() => (window.changes += 1)).observe(document.querySelector('#passing'), { childList: true })
  })
  // 100 pieces, as a network would bring them.
  for (let piece = 0; piece < 100; piece++) {
    mock.pass(...Array.from({ length: 100 }, (_, n) => message({ topic: `flood/${piece * 100 + n}`, text: JSON.stringify({ piece, n, more: 'x'.repeat(400) }) })))
  }
  await untilText(page, '#traffic-counts', '10,000 messages; the newest 500 are kept.')
  await rows(page, 500)
  await untilText(page, '#passing li:first-child', 'flood/9999')
  await untilText(page, '#passing li:last-child', 'flood/9500')
  const changes = await page.evaluate(() => window.changes)
  assert.ok(changes < 100, `the document changed ${changes} times`)
  none(problems)
}

async function nothingMovesUnderAReader(context) {
  const { mock, page, problems } = await begin(context)
  mock.pass(message({ topic: 'read/this' }))
  await rows(page, 1)
  await openFirst(page)
  await until(page, 'its payload', () => document.querySelector('#passing pre'))
  mock.pass(...Array.from({ length: 600 }, (_, n) => message({ topic: `newer/${n}` })))
  await untilText(page, '#traffic-newest', 'show 500 newer')
  await rows(page, 1)
  await page.click('#traffic-newest')
  await rows(page, 500)
  await untilText(page, '#passing li:first-child', 'newer/599')
  // The keyboard stands on one.
  await tabTo(page, '#passing summary')
  mock.pass(message({ topic: 'newest' }))
  await untilText(page, '#traffic-newest', 'show 1 newer')
  // Back over the button to what is before it.
  await page.keyboard.down('Shift')
  await tabTo(page, '#traffic-newest', 1)
  mock.pass(message({ topic: 'newest' }))
  await untilText(page, '#traffic-newest', 'show 2 newer')
  await tabTo(page, '#traffic-stop', 1)
  await page.keyboard.up('Shift')
  await untilText(page, '#passing li:first-child', 'newest')
  // Somebody has scrolled.
  await page.$eval('#traffic-rows', (element) => element.scrollTo(0, 300))
  mock.pass(message({ topic: 'last' }))
  await untilText(page, '#traffic-newest', 'show 1 newer')
  await page.$eval('#traffic-rows', (element) => element.scrollTo(0, 0))
  await untilText(page, '#passing li:first-child', 'last')
  none(problems)
}

async function viewerIsTold(context) {
  const login = { user: 'anna', password: 'secret', role: 'viewer' }
  const { mock, page } = await setUp(context, { scene: { login }, isLogin: true })
  await logIn(page, 'anna', 'secret')
  await untilLive(page)
  await untilText(page, '#traffic', 'only operators see them. anna is a viewer; who is an operator is named in admin.operators')
  for (const place of ['#traffic-form', '#traffic-none']) assert.ok(await page.$eval(place, (element) => element.hidden), place)
  // Somebody else logs in, and is an operator until the configuration says otherwise.
  login.role = 'operator'
  await page.click('#logout')
  await logIn(page, '', 'secret')
  await untilLive(page)
  await untilText(page, '#traffic-none', 'Messages are shown as they pass')
  await page.click('#traffic-start')
  await untilText(page, '#traffic-said', 'is shown')
  mock.pass(message({ topic: 'a/secret' }))
  await rows(page, 1)
  mock.refusal = { status: 403, text: 'messages carry credentials: only operators see them; who is one is named in admin.operators\n' }
  for (const stream of mock.tails) stream.end()
  await untilText(page, '#traffic-said', 'This cannot be shown: messages carry credentials')
  // Nothing stays behind for whoever comes next.
  await page.click('#logout')
  await page.waitForSelector('#login:not([hidden])')
  assert.ok(!(await page.$eval('body', (element) => element.textContent)).includes('a/secret'))
}

async function lostIsSaid(context) {
  const { mock, cable, page } = await begin(context)
  mock.pass(message({ topic: 'before' }))
  await rows(page, 1)
  cable.cut()
  await untilText(page, '#traffic-said', 'Not connected since')
  await untilText(page, '#traffic-said', 'It goes on')
  cable.mend()
  await untilText(page, '#traffic-said', 'is shown')
  mock.pass(message({ topic: 'behind' }))
  await rows(page, 2)
  const lines = await page.$$eval('#passing li', (all) => all.map((one) => one.innerText))
  assert.equal(lines.length, 3)
  assert.match(lines[1], /Not connected: what passed until the next message is not shown/)
  // It ends although the page is live.
  for (const stream of mock.tails) stream.end()
  await untilText(page, '#traffic-said', 'The broker has ended it. It goes on by itself')
  await untilText(page, '#traffic-said', 'is shown')
}

/** What the page waits so long for comes at once. */
const hasten = (waits) => (page) => page.evaluateOnNewDocument((long) => {
  const real = window.setTimeout
  window.setTimeout = (then, ms, ...more) => real(then, ms === long ? 20 : ms, ...more)
}, waits)

const setHidden = (page, isHidden) => page.evaluate((is) => {
  Object.defineProperty(document, 'hidden', { value: is, configurable: true })
  document.dispatchEvent(new Event('visibilitychange'))
}, isHidden)

async function hiddenPagePauses(context) {
  const { mock, cable, page } = await begin(context, { before: hasten(60_000) })
  mock.pass(message())
  await rows(page, 1)
  await setHidden(page, true)
  await untilTrue('the place is given back', () => mock.tails.size === 0)
  await untilText(page, '#traffic-said', 'Paused')
  // What the page itself goes through meanwhile takes no place.
  cable.cut()
  await untilText(page, '#live', 'not live')
  cable.mend()
  await untilLive(page)
  assert.match(await textOf(page, '#traffic-said'), /^Paused/)
  assert.equal(mock.tails.size, 0)
  await setHidden(page, false)
  await untilText(page, '#traffic-said', 'is shown')
  assert.equal(mock.tails.size, 1)
  await untilText(page, '#passing', 'Nobody looked at this page: what passed until the next message is not shown')
}

async function silenceEndsIt(context) {
  const { page } = await setUp(context, { before: hasten(30_000) })
  await page.click('#traffic-start')
  await untilText(page, '#traffic-said', 'The broker says nothing any more. It goes on by itself')
}

async function endlessEventEndsIt(context) {
  const { mock, page } = await begin(context)
  mock.sayTails('x'.repeat(2 << 20))
  await untilText(page, '#traffic-said', 'nothing that this page knows. It goes on by itself')
}

export const traffic = [
  { name: 'traffic: messages are shown as they pass, and opened', run: messagesAreShown },
  { name: 'traffic: the method of a message is named', run: methodIsNamed },
  { name: 'traffic: the address leads to the section', run: addressLeadsHere },
  { name: 'traffic: another filter begins anew', run: filterChanges },
  { name: 'traffic: a stop ends the stream', run: stopEndsIt },
  { name: 'traffic: a refusal is explained', run: wrongFilterIsExplained },
  { name: 'traffic: what was left out is told', run: leftOutIsTold },
  { name: 'traffic: rows and changes of the document are bounded', run: rowsAreBounded },
  { name: 'traffic: nothing moves under whoever reads', run: nothingMovesUnderAReader },
  { name: 'traffic: who is no operator is told', run: viewerIsTold },
  { name: 'traffic: a stream that is lost is said, and goes on', run: lostIsSaid },
  { name: 'traffic: a page that nobody looks at gives its place back', run: hiddenPagePauses },
  { name: 'traffic: a stream that says nothing is lost', run: silenceEndsIt },
  { name: 'traffic: an event without an end is not gathered', run: endlessEventEndsIt },
]
