// What happens while somebody looks, played by a mock broker.

import assert from 'node:assert/strict'
import { tabTo, textOf, until, untilLive, untilText } from './browser.mjs'
import { dock, finished, refusal, site, task } from './scenes.mjs'
import { logIn, none, setUp } from './setup.mjs'

const one = () => ({ docks: [dock({ flight_task: task() })], tasks: [task()] })
const rows = (page, table, count) =>
  until(page, `${count} rows in ${table}`, (t, n) => document.querySelectorAll(`${t} tbody tr`).length === n, table, count)

async function progressGoesOn(context) {
  const { mock, page, problems } = await setUp(context, { scene: one() })
  await untilText(page, '#running', '42 %')
  const row = await page.$('#running tbody tr')
  mock.setTask(task({ percent: 43.5, waypoint: 4, events: 13 }))
  await untilText(page, '#running', '43.5 %')
  assert.equal(await page.$eval('#running progress', (element) => element.value), 43.5)
  await untilText(page, '#docks', 'in progress 44 %')
  assert.ok(await row.evaluate((element) => element.isConnected), 'its row stays the same')
  assert.equal(await textOf(page, '#told'), '', 'no progress is read out')
  none(problems)
}

async function endMovesIt(context) {
  const { mock, page } = await setUp(context, { scene: one() })
  await rows(page, '#running', 1)
  await untilText(page, '#finished-none', 'No flight task has finished yet')
  mock.setTask(finished({ status: 'failed', result: 314004, result_text: 'the wind is too strong', break_reason: 514, break_reason_text: 'the battery is low' }))
  await rows(page, '#finished', 1)
  await rows(page, '#running', 0)
  for (const part of ['failed', '314004 the wind is too strong', '514 the battery is low', '87', '5:2']) {
    assert.ok((await textOf(page, '#finished-table')).includes(part), part)
  }
  assert.ok(await page.$eval('#running-none', (element) => !element.hidden))
  // A task that goes on after its end is running again.
  mock.setTask(task({ reopened: 1 }))
  await rows(page, '#running', 1)
  await rows(page, '#finished', 0)
}

async function silenceIsShown(context) {
  const { mock, page } = await setUp(context, { scene: one() })
  mock.setTask(task({ is_silent: true, step: 4711, step_name: null, phase: null, percent: null }))
  await untilText(page, '#running-table', 'silent')
  await untilText(page, '#running', 'step 4711')
  await untilText(page, '#running', 'not said')
  assert.ok(await page.$eval('#running progress', (element) => !element.hasAttribute('value')))
  mock.setDock(dock({ is_online: false, clock_offset_ms: 45_200, is_clock_off: true }))
  await untilText(page, '#docks', 'offline')
  await untilText(page, '#docks', '+45.2 s')
  await untilText(page, '#docks', 'refuses tasks')
}

async function snapshotReplaces(context) {
  const { mock, cable, page } = await setUp(context, { scene: one() })
  await rows(page, '#running', 1)
  cable.cut()
  await untilText(page, '#live', 'not live')
  // Meanwhile: the flight ended, its dock was taken away, another one came.
  mock.docks.clear()
  mock.docks.set('SIMDOCK2', dock({ dock: 'SIMDOCK2' }))
  mock.tasks.clear()
  mock.tasks.set('x', finished())
  cable.mend()
  await untilLive(page)
  await rows(page, '#running', 0)
  await rows(page, '#finished', 1)
  await untilText(page, '#docks', 'SIMDOCK2')
  assert.ok(!(await textOf(page, '#docks-table')).includes('SIMDOCK1'))
}

async function agesAreTheBrokers(context) {
  const ahead = 7 * 3_600_000
  const heard = Date.now() + ahead - 40_000
  const { page } = await setUp(context, { scene: { ...one(), tasks: [], docks: [dock({ last_ms: heard })], site: site({ now_ms_ahead: ahead }) } })
  await until(page, 'an age by the clock of the broker', () => /^4\d s$/.test(document.querySelector('#docks .c-heard time')?.innerText))
  const first = await textOf(page, '#docks .c-heard time')
  await until(page, 'an age that grows', (before) => document.querySelector('#docks .c-heard time').innerText !== before, first)
}

async function conditionsAreTold(context) {
  const { mock, page } = await setUp(context, { scene: one() })
  const silent = (s) => ({ name: 'DockSilent', severity: 'warning', text: `SIMDOCK1 has been silent for ${s} s` })
  await untilText(page, '#conditions', 'nothing needs attention')
  mock.setSite({ conditions: [silent(75)] })
  await untilText(page, '#conditions-list', 'silent for 75 s')
  await untilText(page, '#told', 'New warning: SIMDOCK1 has been silent for 75 s')
  assert.match(await page.title(), /^\(1\)/)
  mock.setSite({ conditions: [silent(77)] })
  await untilText(page, '#conditions-list', 'silent for 77 s')
  assert.ok(!(await textOf(page, '#told')).includes('77 s'), 'a figure that grows is not told again')
  mock.setSite({ conditions: [], is_ready: false })
  await untilText(page, '#told', 'Over')
  await untilText(page, '#figure-ready', 'not ready')
}

async function keyboardReachesDetails(context) {
  const { mock, page, problems } = await setUp(context, { scene: one() })
  await rows(page, '#running', 1)
  await tabTo(page, '#running button.task')
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle)
  assert.equal(outline, 'solid', 'the focus is seen')
  await page.keyboard.press('Enter')
  await page.waitForSelector('#details[open]')
  await untilText(page, '#history-said', '12 events')
  await untilText(page, '#details', '6 executing')
  mock.setTask(task({ percent: 88, events: 13 }))
  await untilText(page, '#details-progress', '88 %')
  await untilText(page, '#history', 'in progress, 88 %')
  await tabTo(page, '#history summary')
  await page.keyboard.press('Enter')
  await untilText(page, '#history pre', '"flighttask_progress"')
  // It ends while it is looked at: the focus goes back to its row, which is in the other table by then.
  mock.setTask(finished())
  await untilText(page, '#details-facts', 'ok')
  await page.keyboard.press('Escape')
  await until(page, 'the focus on its row', () => document.activeElement.matches('#finished button.task'))
  assert.equal(await page.evaluate(() => location.hash), '')
  none(problems)
}

async function focusFollows(context) {
  const { mock, page } = await setUp(context, { scene: one() })
  await rows(page, '#running', 1)
  await tabTo(page, '#running button.task')
  mock.setTask(finished())
  await until(page, 'the focus went with the row', () => document.activeElement.matches('#finished button.task'))
}

async function linkOpensDetails(context) {
  const hash = `#task/${encodeURIComponent(`SIMDOCK1/${task().task}`)}`
  const { page } = await setUp(context, { scene: one(), hash })
  await page.waitForSelector('#details[open]')
  await untilText(page, '#details-title', task().task)
  await page.click('#details-close')
  await page.waitForSelector('#details:not([open])')
  // A mouse has the whole row.
  await page.waitForSelector('#running .c-step')
  await page.click('#running .c-step')
  await page.waitForSelector('#details[open]')
}

async function loginIsAsked(context) {
  const login = { user: 'anna', password: 'secret', role: 'viewer' }
  const conditions = [{ name: 'DockSilent', severity: 'warning', text: 'SIMDOCK1 has been silent for 75 s' }]
  const { mock, page, problems } = await setUp(context, { scene: { ...one(), login, site: site({ conditions }) }, isLogin: true })
  await page.waitForSelector('#login:not([hidden])')
  assert.ok(await page.$eval('#main', (element) => element.hidden))
  assert.equal(await page.evaluate(() => document.activeElement.id), 'login-user')
  await logIn(page, 'anna', 'wrong')
  await untilText(page, '#login-error', 'The user or the password is wrong')
  mock.throttled = true
  await page.keyboard.press('Enter')
  await untilText(page, '#login-error', 'Too many attempts. Try again in 30 s')
  mock.throttled = false
  await page.type('#login-password', 'secret')
  await page.keyboard.press('Enter')
  await untilLive(page)
  await untilText(page, '#who', 'anna (viewer)')
  await rows(page, '#running', 1)
  await untilText(page, '#told', 'SIMDOCK1')
  await page.click('#logout')
  await page.waitForSelector('#login:not([hidden])')
  assert.ok(!(await page.$eval('body', (element) => element.textContent)).includes('SIMDOCK1'), 'nothing stays behind')
  assert.ok(mock.asked.includes('POST /api/v1/logout'))
  await logIn(page, '', 'secret')
  await untilLive(page)
  // A session that ends by itself asks again.
  mock.sessions.clear()
  for (const stream of mock.streams) stream.end()
  await page.waitForSelector('#login:not([hidden])')
  none(problems)
}

async function offlineDockIsAskedFor(context) {
  const scene = { docks: [dock({ dock: 'SIMDOCK9', is_online: false })], refusals: [refusal(), refusal({ client_id: 'other', user: 'other' })] }
  const { page } = await setUp(context, { scene })
  await rows(page, '#why', 2)
  await page.waitForSelector('#docks button[data-why]')
  await page.click('#docks button[data-why]')
  await untilText(page, '#why-said', '1 entry about “SIMDOCK9”')
  await rows(page, '#why', 1)
}

async function hoursAreBounded(context) {
  const { mock, page } = await setUp(context)
  await untilText(page, '#docks-none', 'No dock has connected yet')
  const now = Date.now()
  for (let n = 0; n < 450; n++) mock.setTask(finished({ task: `task-${n}`, last_ms: now + n }))
  await untilText(page, '#finished-table', 'task-449')
  await untilText(page, '#finished-count', '200')
  await page.click('#finished-all')
  await rows(page, '#finished', 200)
  assert.match(await textOf(page, '#finished tbody tr:last-child'), /task-250/)
}

async function updateIsNoticed(context) {
  const { mock, page } = await setUp(context)
  await untilText(page, '#version', '0.1.0')
  mock.setSite({ version: '0.2.0' })
  await untilText(page, '#updated', 'The broker is now version 0.2.0')
}

export const scripted = [
  { name: 'a progress goes on live, and nobody is told each step of it', run: progressGoesOn },
  { name: 'a task that ends moves to the finished ones, and back', run: endMovesIt },
  { name: 'silence, a raw step, an unknown percent and a wrong clock are shown', run: silenceIsShown },
  { name: 'the snapshot replaces what went on in the meantime', run: snapshotReplaces },
  { name: 'ages are told by the clock of the broker', run: agesAreTheBrokers },
  { name: 'conditions are told once', run: conditionsAreTold },
  { name: 'the keyboard reaches the details of a task', run: keyboardReachesDetails },
  { name: 'the focus goes with a row', run: focusFollows },
  { name: 'a link and a click on a row open the details', run: linkOpensDetails },
  { name: 'the login', run: loginIsAsked },
  { name: 'an offline dock is asked for', run: offlineDockIsAskedFor },
  { name: 'finished tasks are bounded', run: hoursAreBounded },
  { name: 'an updated broker is noticed', run: updateIsNoticed },
]
