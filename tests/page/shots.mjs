// Pictures of a busy night, for whoever changes how the page looks: node shots.mjs DIRECTORY

import { mkdirSync } from 'node:fs'
import { launch, open, until, untilLive, untilText } from './browser.mjs'
import { Mock } from './mock.mjs'
import { night } from './scenes.mjs'

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
