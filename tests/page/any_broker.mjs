// What holds of the page of any broker, whatever goes on there.

import assert from 'node:assert/strict'
import { tabTo, until, untilLive, untilText } from './browser.mjs'
import { night } from './scenes.mjs'
import { ask, none, setUp } from './setup.mjs'

const begin = (context, options) => setUp(context, { scene: night(), ...options })

async function filesAreServed(context) {
  const { page, url, problems } = await begin(context)
  const served = await page.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname))
  for (const path of ['/', '/page.css', ...served.filter((name) => name.startsWith('/page/'))]) {
    const response = await fetch(url + path)
    const kind = path === '/' ? 'text/html' : path.endsWith('.css') ? 'text/css' : 'text/javascript'
    assert.equal(response.status, 200, path)
    assert.match(response.headers.get('content-type'), new RegExp(`^${kind}`), path)
    assert.match(response.headers.get('content-security-policy') ?? '', /default-src 'none'/, path)
  }
  assert.ok(served.includes('/page/main.js'))
  const foreign = await page.evaluate(() => performance.getEntriesByType('resource').filter(({ name }) => !name.startsWith(location.origin)).length)
  assert.equal(foreign, 0, 'something comes from elsewhere')
  none(problems)
}

async function snapshotIsShown(context) {
  const { page, problems } = await begin(context)
  const { docks } = await ask(page, '/api/v1/docks')
  const { flight_tasks: tasks } = await ask(page, '/api/v1/flight-tasks?limit=200')
  await until(page, 'a row a dock', (count) => document.querySelectorAll('#docks tbody tr').length === count, docks.length)
  for (const { dock } of docks) await untilText(page, '#docks', dock)
  const running = tasks.filter((task) => !task.is_over).length
  await until(page, 'a row a running task', (count) => document.querySelectorAll('#running tbody tr').length === count, running)
  await untilText(page, '#finished-count', String(tasks.length - running))
  await until(page, 'figures', () => /^(ready|not ready)$/.test(document.querySelector('#figure-ready').innerText))
  await until(page, 'connections', () => /^\d/.test(document.querySelector('#figure-connections').innerText))
  none(problems)
}

async function comesBack(context, { break: breakIt, why }) {
  const { page, cable, problems } = await begin(context)
  breakIt(cable)
  await untilText(page, '#lost', 'Not live since')
  await untilText(page, '#lost', why)
  assert.equal(await page.$eval('#live', (element) => element.dataset.state), 'lost')
  assert.match(await page.title(), /not live/)
  await untilText(page, '#told', 'Not live')
  cable.mend()
  await untilLive(page)
  await until(page, 'no banner', () => document.querySelector('#lost').hidden)
  await until(page, 'the title', () => !document.title.includes('not live'))
  none(problems)
}

async function isNoWiderThanAPhone(context) {
  const { page } = await begin(context, { width: 390, height: 844 })
  const { docks } = await ask(page, '/api/v1/docks')
  await until(page, 'the docks', (count) => document.querySelectorAll('#docks tbody tr').length === count, docks.length)
  const { wide, inner, out } = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth,
    inner: window.innerWidth,
    out: [...document.querySelectorAll('main *, header *')].filter((e) => {
      const box = e.getBoundingClientRect()
      return box.width > 1 && box.right > window.innerWidth + 1 && !e.closest('.unseen, thead')
    }).map((e) => `${e.tagName}.${e.className}`).slice(0, 5),
  }))
  assert.equal(wide, inner, 'it scrolls sideways')
  assert.deepEqual(out, [], 'something sticks out')
}

async function whyIsSearched(context) {
  const { page, problems } = await begin(context)
  const query = 'NOBODY12345'
  await page.type('#why-query', query)
  await page.keyboard.press('Enter')
  await untilText(page, '#why-said', `Nothing is known about “${query}”`)
  const all = await ask(page, '/api/v1/why?q=')
  const name = all.refusals.find((one) => one.client_id)?.client_id
  if (name) {
    await page.click('#why-query', { count: 3 })
    await page.type('#why-query', name)
    await page.click('#why-form button')
    const { refusals } = await ask(page, `/api/v1/why?q=${encodeURIComponent(name)}`)
    await untilText(page, '#why-said', `about “${name}”`)
    await until(page, 'its rows', (n) => document.querySelectorAll('#why tbody tr').length === n, Math.min(100, refusals.length))
    await untilText(page, '#why-table', refusals[0].reason)
    if (refusals[0].remedy) await untilText(page, '#why-table', refusals[0].remedy)
  }
  none(problems)
}

/** Names of what is on the page, for who does not see it. */
async function isNamed(context) {
  const { page } = await begin(context)
  const faults = await page.evaluate(() => {
    const found = []
    for (const table of document.querySelectorAll('table')) if (!table.caption) found.push(`no caption: ${table.id}`)
    for (const input of document.querySelectorAll('input')) if (!input.labels.length) found.push(`no label: ${input.id}`)
    for (const bar of document.querySelectorAll('progress')) if (!bar.ariaLabel) found.push('a bar without a name')
    for (const section of document.querySelectorAll('section')) {
      if (!document.getElementById(section.getAttribute('aria-labelledby'))) found.push(`no heading: ${section.id}`)
    }
    for (const button of document.querySelectorAll('button:not([hidden])')) {
      if (!button.hidden && button.offsetParent && !(button.ariaLabel ?? button.innerText)) found.push('a button without a name')
    }
    for (const live of document.querySelectorAll('[aria-live=assertive]')) found.push(`assertive: ${live.id}`)
    // A style that is written in the document is what the policy forbids.
    for (const styled of document.querySelectorAll('[style], [onclick]')) found.push(`inline: ${styled.tagName}`)
    return found
  })
  assert.deepEqual(faults, [])
  await tabTo(page, '.skip')
}

export const any = [
  { name: 'files are served with their types and the policy', run: filesAreServed },
  { name: 'the snapshot is shown', run: snapshotIsShown },
  { name: 'a stream that is cut is shown, and comes back', run: (c) => comesBack(c, { break: (cable) => cable.cut(), why: 'broker' }) },
  { name: 'a stream that says nothing is shown, and comes back', run: (c) => comesBack(c, { break: (cable) => cable.stick(), why: 'broker' }) },
  { name: 'a phone does not scroll sideways', run: isNoWiderThanAPhone },
  { name: 'why it cannot connect is searched', run: whyIsSearched },
  { name: 'tables, bars, inputs and sections have names', run: isNamed },
]

/** Somebody starts a simulated flight after this was started: it is seen to begin, go on, and end. */
async function flightIsSeen(context) {
  const { page, problems } = await setUp(context)
  await page.waitForFunction(() => document.querySelector('#running tbody tr progress[value]'), { timeout: 120_000, polling: 50 })
  const [key, percent] = await page.$eval('#running tbody tr', (row) => [row.dataset.task, row.querySelector('progress').value])
  await page.waitForFunction((k, p) => {
    const row = [...document.querySelectorAll('#running tbody tr')].find((one) => one.dataset.task === k)
    const isOver = [...document.querySelectorAll('#finished tbody tr')].some((one) => one.dataset.task === k)
    return isOver || row?.querySelector('progress').value > p
  }, { timeout: 120_000, polling: 50 }, key, percent)
  await page.waitForFunction((k) => [...document.querySelectorAll('#finished tbody tr')].some((one) => one.dataset.task === k),
    { timeout: 120_000, polling: 50 }, key)
  none(problems)
}

export const flight = [{ name: 'a flight is seen to go on and to end', run: flightIsSeen }]
