// Text that a device or a client chose does nothing, and is seen.

import assert from 'node:assert/strict'
import { until, untilText } from './browser.mjs'
import { dock, refusal, site, task } from './scenes.mjs'
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
  assert.equal(await page.$('img, script:not([src]), iframe'), null, 'text became an element')
  const raw = await page.evaluate(() => document.body.textContent.match(/[\u202a-\u202e\u2066-\u2069\u0000\u001b\u200b]/))
  assert.equal(raw, null, 'what cannot be seen is on the page')
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

export const hostile = [
  { name: 'text of devices and clients is text, and seen', run: textIsText },
  { name: 'long text fits', run: longTextFits },
]
