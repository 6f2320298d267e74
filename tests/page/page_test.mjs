// The live page in a real browser.
//
//   node page_test.mjs                      against a mock broker that plays a script
//   node page_test.mjs URL [--flight]       against a broker, which may be logged in to by DOCKSIDE_PAGE_USER and
//                                           DOCKSIDE_PAGE_PASSWORD; --flight: somebody flies a task in the meantime;
//                                           DOCKSIDE_PAGE_MQTT: where it takes MQTT, HOST:PORT, without any login
//
// Every test waits for conditions, never for a time.

import { any, flight } from './any_broker.mjs'
import { launch } from './browser.mjs'
import { hostile } from './hostile.mjs'
import { lookingOn } from './looking_on.mjs'
import { scripted } from './scripted.mjs'
import { traffic } from './traffic.mjs'

const [base, ...flags] = process.argv.slice(2)
const more = [...(flags.includes('--flight') ? flight : []), ...(process.env.DOCKSIDE_PAGE_MQTT ? lookingOn : [])]
const tests = base ? [...any, ...more] : [...any, ...scripted, ...hostile, ...traffic]
const only = process.env.ONLY

const browser = await launch()
let failed = 0
for (const { name, run } of tests) {
  if (only && !name.includes(only)) continue
  const clean = []
  try {
    await run({ browser, base, after: (then) => clean.push(then) })
    console.log(`ok      ${name}`)
  } catch (error) {
    failed += 1
    console.error(`FAILED  ${name}\n${error.stack}`)
  } finally {
    for (const then of clean.reverse()) await then()
  }
}
await browser.close()
console.log(failed ? `${failed} of ${tests.length} failed` : 'the page is as it should be')
process.exitCode = failed ? 1 : 0
