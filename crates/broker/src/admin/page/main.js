// The live page: what the broker says, on one page.

import { whenLoginNeeded } from './api.js'
import { Details, focusTask, openTask } from './details.js'
import { Docks } from './docks.js'
import { byId, setAttribute, setText, setTime, showTimes } from './dom.js'
import { Live } from './live.js'
import { Login } from './login.js'
import { Model } from './model.js'
import { learn, serverNow } from './server_clock.js'
import { Site, tell } from './site.js'
import { Tasks } from './tasks.js'
import { Traffic } from './traffic.js'
import { Why } from './why.js'
import { visible } from './words.js'

/** Changes that come together are shown together. A frame would not come while the page is in the background. */
const SHOW_AFTER_MS = 100

const model = new Model()
const [docks, tasks, site, why, traffic] = [new Docks(), new Tasks(), new Site(), new Why(), new Traffic()]
const details = new Details((key) => model.task(key))
const login = new Login({
  in: (who) => {
    welcome(who)
    live.start()
  },
  out: () => leave(),
})
const live = new Live({
  event: hear,
  login: (who) => {
    if (who.is_needed && who.user === null) leave()
    else welcome(who)
  },
  live: isLiveAgain,
  lost: isLost,
})

let showing = null
let lostMs = null
let version = null
let hasArrived = false

function hear(kind, data) {
  if (kind === 'snapshot') {
    model.snapshot(data)
    // At once: whoever reads "live" sees what is live.
    return show()
  }
  if (kind === 'dock') model.dock(data)
  else if (kind === 'flight_task') model.flightTask(data)
  else {
    learn(data.now_ms)
    model.site = data
    noticeVersion(data.version)
  }
  showSoon()
}

/** The section that the address names: there was nothing to scroll to when the browser looked for it. */
function arrive() {
  const isFirst = !hasArrived && window.scrollY === 0
  hasArrived = true
  if (isFirst && location.hash) location.replace(location.hash)
}

function showSoon() {
  showing ??= setTimeout(show, SHOW_AFTER_MS)
}

function show() {
  clearTimeout(showing)
  showing = null
  const focused = document.activeElement?.closest?.('button.task[data-task]')
  const firing = site.show(model.site)
  docks.show(model.docksInOrder())
  tasks.show(model.running(), model.finished())
  details.show()
  // Whoever stands on a task goes with it when it moves to the other table.
  if (focused && document.activeElement !== focused && !byId('details').open) {
    if (!focusTask(focused.dataset.task)) byId('running-title').focus({ preventScroll: true })
  }
  showTitle(firing)
}

function showTitle(firing) {
  const before = lostMs !== null ? 'not live: ' : firing ? `(${firing}) ` : ''
  const title = `${before}Dockside`
  if (document.title !== title) document.title = title
}

function isLiveAgain() {
  const wasLost = lostMs !== null
  lostMs = null
  byId('lost').hidden = true
  setAttribute(document.body, 'class', null)
  setLive('live', 'live')
  if (wasLost) tell('Live again.')
  // Its rows are above the last section.
  why.setLive(true).then(arrive)
  traffic.setLive(true)
  // What a link names is looked at once it can be; what is open already may have gone on.
  details.follow()
  details.ask()
}

function isLost(sinceMs, reason) {
  // The first loss counts, not each attempt in vain. It is told in the broker's clock, like every other time.
  const isFirst = lostMs === null
  if (isFirst) lostMs = sinceMs === null ? serverNow() : sinceMs + serverNow() - Date.now()
  setText(byId('lost-why'), `${visible(reason, 200)} The page comes back by itself.`)
  if (!isFirst) return
  byId('lost').hidden = false
  document.body.className = 'stale'
  setLive('lost', 'not live')
  // What was heard before comes before it.
  show()
  setTime(byId('lost-at'), lostMs, 'clock')
  setTime(byId('lost-age'), lostMs, 'age')
  tell('Not live: the connection to the broker was lost.')
  why.setLive(false)
  traffic.setLive(false)
}

function setLive(state, text) {
  setText(byId('live'), text)
  setAttribute(byId('live'), 'data-state', state)
}

/** After an update of the broker this page is the old one. */
function noticeVersion(now) {
  setText(byId('version'), visible(now, 40))
  version ??= now
  byId('updated').hidden = version === now
  setText(byId('updated-text'), `The broker is now version ${visible(now, 40)}; this page is of ${visible(version, 40)}.`)
}

function welcome(who) {
  login.show(who)
  traffic.allow(who)
}

/** Whoever is not logged in sees nothing of the site. */
function leave() {
  live.stop()
  model.forget()
  why.forget()
  traffic.forget()
  site.forget()
  details.forget()
  lostMs = null
  byId('lost').hidden = true
  document.body.className = ''
  setLive('waiting', 'not logged in')
  show()
  login.show({ is_needed: true, user: null, role: null })
}

document.addEventListener('click', (event) => {
  const asked = event.target.closest('[data-why]')
  if (asked) return why.searchFor(asked.dataset.why)
  const button = event.target.closest('button.task')
  if (button) return openTask(button.dataset.task)
  // A row is a large target for a mouse; a selection of its text is not a click.
  const row = event.target.closest('tr[data-task]')
  if (row && !event.target.closest('button, a') && !String(window.getSelection())) openTask(row.dataset.task)
})
byId('try-now').addEventListener('click', () => live.now())
byId('reload').addEventListener('click', () => location.reload())
setInterval(() => {
  if (!document.hidden) showTimes()
}, 1000)
document.addEventListener('visibilitychange', showTimes)
whenLoginNeeded(leave)
byId('main').hidden = false
show()
live.start()
