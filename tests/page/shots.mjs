// Pictures of a busy night, for whoever changes how the page looks: node shots.mjs DIRECTORY

import { mkdirSync } from 'node:fs'
import { launch, open, until, untilLive, untilText } from './browser.mjs'
import { Mock } from './mock.mjs'
import { message, night } from './scenes.mjs'

const [directory = 'shots'] = process.argv.slice(2)
mkdirSync(directory, { recursive: true })
const { tasks, ...rest } = night()
const [mock, empty, closed] = [
  new Mock({ tasks, ...rest }), new Mock(), new Mock({ login: { user: 'anna', password: 'secret', role: 'viewer' } }),
]
const [base, emptyBase, closedBase] = [await mock.listen(), await empty.listen(), await closed.listen()]
const browser = await launch()

async function shoot(name, url, options, then) {
  const { page, close, problems } = await open(browser, url, options)
  await (then ?? untilLive)(page)
  await until(page, 'the figures', () => !document.querySelector('#figure-ready')?.offsetParent || document.querySelector('#figure-ready').innerText !== '—')
  await page.screenshot({ path: `${directory}/${name}.png`, fullPage: options.full ?? true })
  if (problems.length) console.log(name, problems)
  await close()
}

const seen = async (page) => {
  await untilLive(page)
  await untilText(page, '#why-said', 'entr')
  await untilText(page, '#conditions-count', '3')
}
const phone = { width: 390, height: 844 }
const details = `${base}/#task/${encodeURIComponent('SIMDOCK1/65db5b0f-0c05-4a2c-bb4f-d8e8b2a5f101')}`
const opened = async (page) => {
  await seen(page)
  await untilText(page, '#history-said', 'event')
  await page.click('#history summary')
}
const progress = (sn, percent) => message({
  client: sn, topic: `thing/product/${sn}/events`,
  text: JSON.stringify({ bid: '3f0c1f8e-6f0b-4c6e-9d4b-0d2f7c9a1b11', tid: 't-7', method: 'flighttask_progress', need_reply: 1, gateway: sn, data: { result: 0, output: { status: 'in_progress', progress: { current_step: 25, percent }, ext: { current_waypoint_index: 3 } } } }),
})
const osd = (sn) => message({
  client: sn, topic: `thing/product/${sn}/osd`, qos: 0, is_cut: true, bytes: 2210,
  text: JSON.stringify({ data: { job_number: 12, latitude: 50.1, longitude: 8.6, drone_in_dock: 1, network_state: { rate: 5, type: 2 } } }).slice(0, -3),
})
const passing = async (page) => {
  await seen(page)
  await page.click('#traffic-start')
  await untilText(page, '#traffic-said', 'is shown')
  for (let n = 0; n < 30; n++) {
    mock.pass(osd(`SIMDOCK${n % 5 + 1}`))
    if (n % 7 === 3) mock.leaveOut(420, n % 2)
  }
  mock.pass(
    message({ client: null, is_broker: true, topic: 'dockside/flight-tasks/SIMDOCK1', retain: true, text: '{"status":"in_progress"}' }),
    message({ client: null, topic: 'site/picture', hex: 'ffd8ffe000104a46494600010101', bytes: 4100, is_cut: true }),
    message({ client: 'mission-planner', topic: 'site/lights', text: '', retain: true }),
    progress('SIMDOCK2', 4), progress('SIMDOCK1', 42),
  )
  await untilText(page, '#traffic-counts', '35 messages')
  await page.click('#passing li:nth-child(2) summary')
  await untilText(page, '#passing pre', 'flighttask_progress')
  await page.$eval('#traffic', (element) => element.scrollIntoView())
}
const flowing = async (page) => {
  await passing(page)
  await page.click('#passing li:nth-child(2) summary')
}
await shoot('traffic', base, { full: false }, passing)
await shoot('traffic-held', base, { full: false }, async (page) => {
  await passing(page)
  mock.pass(...Array.from({ length: 12 }, (_, n) => progress(`SIMDOCK${n}`, n)))
  await untilText(page, '#traffic-newest', '12 newer')
})
await shoot('traffic-refused', base, { ...phone, full: false }, async (page) => {
  await seen(page)
  mock.refusal = { status: 400, text: '"thing/#/events" is no topic filter: wildcard inside a level; + and # stand alone in a level, # at the end' }
  await page.click('#traffic-start')
  await untilText(page, '#traffic-said', 'no topic filter')
  mock.refusal = null
})
await shoot('traffic-closed', base, { full: false }, flowing)
await shoot('traffic-dark', base, { full: false, dark: true }, passing)
await shoot('traffic-narrow', base, { full: false, width: 900 }, passing)
await shoot('traffic-phone', base, { ...phone, full: false }, passing)
await shoot('traffic-phone-dark', base, { ...phone, full: false, dark: true }, passing)
await shoot('desktop-light', base, {}, seen)
await shoot('desktop-dark', base, { dark: true }, seen)
await shoot('phone', base, phone, seen)
await shoot('details', details, { full: false }, opened)
await shoot('details-phone', details, { ...phone, full: false, dark: true }, opened)
await shoot('empty', emptyBase, {})
await shoot('login', closedBase, phone, (page) => page.waitForSelector('#login:not([hidden])'))
await shoot('lost', base, { dark: true, full: false }, async (page) => {
  await seen(page)
  await mock.close()
  await untilText(page, '#live', 'not live')
})
await browser.close()
await Promise.all([empty.close(), closed.close()])
