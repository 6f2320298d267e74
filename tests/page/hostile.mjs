// Text that a device or a client chose does nothing, and is seen.

import assert from 'node:assert/strict'
import { until, untilText } from './browser.mjs'
import { dock, message, refusal, site, task } from './scenes.mjs'
import { none, setUp } from './setup.mjs'

const MARKUP = '<img src=x onerror=alert(1)>'
const UNSEEN = 'a\u202eb\u0000c\u200bd\u2066e\u001bf'
const SEEN = 'a\\u{202e}b\\u{0}c\\u{200b}d\\u{2066}e\\u{1b}f'

function scene() {
  const bad = { status: MARKUP, step_name: MARKUP, phase: MARKUP, result: 1, result_text: MARKUP, break_reason: 1, break_reason_text: MARKUP, track: MARKUP }
  const tasks = [
    task({ ...bad, task: MARKUP }), task({ task: UNSEEN }), task({ task: 'x'.repeat(5000) }), task({ ...bad, task: `over ${MARKUP}`, is_over: true }),
    task({ task: '../../docks', percent: -5e300 }), task({ task: '\u05d0\u05d1\u05d2'.repeat(40) }),
  ]
  return {
    tasks,
    docks: [dock({ dock: MARKUP, firmware: MARKUP, aircraft: [MARKUP, UNSEEN], model: { domain: MARKUP, type: 1, sub_type: 1, name: MARKUP } })],
    refusals: [refusal({ client_id: MARKUP, user: UNSEEN, topic: MARKUP, reason: MARKUP, remedy: MARKUP })],
    site: site({ version: MARKUP, conditions: [{ name: MARKUP, severity: MARKUP, text: MARKUP }] }),
  }
}

async function isText(page) {
  assert.equal(await page.$('img, script:not([src]), iframe'), null, 'text became an element')
  const raw = await page.evaluate(() => document.body.textContent.match(/[\u202a-\u202e\u2066-\u2069\u0000\u001b\u200b]/))
  assert.equal(raw, null, 'what cannot be seen is on the page')
}

async function textIsText(context) {
  const { mock, page, problems } = await setUp(context, { scene: scene() })
  mock.histories.set(`SIMDOCK1/${MARKUP}`, [
    { received_ms: Date.now(), event: { method: MARKUP, data: { output: { status: MARKUP, progress: { percent: [MARKUP] } } }, [UNSEEN]: UNSEEN } },
    { received_ms: Date.now(), event: MARKUP }, { received_ms: Date.now(), event: null },
  ])
  for (const place of ['#running', '#finished', '#docks', '#why-table', '#conditions', '#version', '#told']) await untilText(page, place, MARKUP)
  await untilText(page, '#running', SEEN)
  await untilText(page, '#docks', SEEN)
  await page.evaluate((name) => [...document.querySelectorAll('#running button.task')].find((one) => one.innerText === name).click(), MARKUP)
  await untilText(page, '#details-title', MARKUP)
  await untilText(page, '#history-said', '12 events')
  await page.evaluate(() => document.querySelectorAll('#history summary').forEach((one) => one.click()))
  await until(page, 'three events', () => document.querySelectorAll('#history pre').length === 3)
  await untilText(page, '#history pre', SEEN.replaceAll('\\u{0}', '\\u0000').replaceAll('\\u{1b}', '\\u001b'))
  await isText(page)
  none(problems)
}

async function longTextFits(context) {
  for (const width of [390, 1000, 1440]) {
    const { page } = await setUp(context, { scene: scene(), width, height: 900 })
    await untilText(page, '#running', 'xxx…')
    const wide = await page.evaluate(() => document.documentElement.scrollWidth)
    assert.equal(wide, width, 'it scrolls sideways')
  }
}

async function trafficIsText(context) {
  for (const width of [390, 1440]) {
    const { mock, page, problems } = await setUp(context, { width, height: 900 })
    await page.click('#traffic-start')
    await untilText(page, '#traffic-said', 'is shown')
    mock.pass(
      message({ topic: MARKUP, client: MARKUP, text: MARKUP }), message({ topic: UNSEEN, client: UNSEEN, text: `${UNSEEN}\n${MARKUP}` }),
      message({ text: `{"${MARKUP}":["${UNSEEN}"`, is_cut: true, bytes: 3000 }), message({ topic: 'x'.repeat(5000), client: 'y'.repeat(5000), text: 'z'.repeat(1024) }),
      message({ text: '['.repeat(1024), is_cut: true, bytes: 9000 }), message({ text: '\u05d0\u05d1\u05d2'.repeat(40), topic: '\u05d0\u05d1\u05d2'.repeat(40) }),
    )
    await until(page, 'six messages', () => document.querySelectorAll('#passing summary').length === 6)
    await page.$$eval('#passing summary', (all) => all.forEach((one) => one.click()))
    await until(page, 'six payloads', () => document.querySelectorAll('#passing pre').length === 6)
    for (const part of [MARKUP, SEEN, `${SEEN}\n${MARKUP}`, `[\n    "${SEEN}"`]) {
      assert.ok((await page.$eval('#passing', (element) => element.textContent)).includes(part), part)
    }
    const deep = await page.$$eval('#passing pre', (all) => Math.max(...all.map((one) => one.textContent.length)))
    assert.ok(deep < 100_000, `1,024 bytes became ${deep} characters`)
    await isText(page)
    const wide = await page.evaluate(() => [document.documentElement, document.querySelector('#traffic-rows')].map((e) => e.scrollWidth - e.clientWidth))
    assert.deepEqual(wide, [0, 0], 'it scrolls sideways')
    mock.refusal = { status: 400, text: `${MARKUP}${UNSEEN}` }
    await page.click('#traffic-start')
    await untilText(page, '#traffic-said', `${MARKUP}${SEEN}`)
    await isText(page)
    none(problems)
  }
}

export const hostile = [
  { name: 'text of devices and clients is text, and seen', run: textIsText },
  { name: 'traffic: text of clients is text, and fits', run: trafficIsText },
  { name: 'long text fits', run: longTextFits },
]
