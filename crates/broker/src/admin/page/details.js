// One flight task: how it stands, and its events.

import { get } from './api.js'
import { byId, make, progressBar, reconcile, setAttribute, setProgress, setText, setTime } from './dom.js'
import { outcome, taskHash } from './tasks.js'
import { clockTime, codeText, duration, many, NOTHING, number, statusText, stepText, visible, waypointText } from './words.js'
import { serverNow } from './server_clock.js'

const EVENTS_AT_MOST = 100
/** A history takes a look at the file: not at each event of a burst. */
const AGAIN_AFTER_MS = 3_000

const plain = (say) => (place, task) => setText(place, say(task))
const clock = (member) => (place, task) => setTime(place, task[member], 'clock')

const FACTS = [
  ['Dock', plain((task) => visible(task.dock, 64))],
  ['Status', (place, task) => {
    setText(place, statusText(task.status) + (task.is_silent && !task.is_over ? ', silent' : ''))
    setAttribute(place, 'data-mark', outcome(task))
  }],
  ['Step', plain((task) => (Number.isFinite(task.step) && task.step_name ? `${stepText(task)} (${task.step})` : stepText(task)))],
  ['Waypoint', plain(waypointText)],
  ['Mission state', plain((task) => codeText(task.mission_state, task.mission_state_name))],
  ['Result', plain((task) => codeText(task.result, task.result_text))],
  ['Break reason', plain((task) => codeText(task.break_reason, task.break_reason_text))],
  ['Media', plain((task) => (task.is_over ? visible(task.media_count) : 'known once it is over'))],
  ['Duration', (place, task) => {
    if (!task.is_over) return setTime(place, task.first_ms, 'duration')
    setTime(place, null)
    setText(place, duration(task.last_ms - task.first_ms))
  }],
  ['Heard of first', clock('first_ms')],
  ['Heard of last', clock('last_ms')],
  ['Dock\'s own time', clock('device_ms')],
  ['Events', plain((task) => {
    const late = task.late ? `, ${number(task.late)} late` : ''
    return number(task.events) + late + (task.reopened ? `, went on ${many(task.reopened, 'time')} after its end` : '')
  })],
  ['Track', plain((task) => visible(task.track, 200))],
]

export class Details {
  /** `find(key)` is the task as it stands, or null. */
  constructor(find) {
    this.find = find
    this.key = null
    this.dialog = byId('details')
    const progress = byId('details-progress')
    progress.append(...progressBar('Progress of this flight task'))
    this.facts = FACTS.map(([title, show]) => {
      const place = make('span', { class: title === 'Status' && 'mark' })
      byId('details-facts').append(make('div', {}, make('dt', { text: title }), make('dd', {}, place)))
      return [place, show]
    })
    byId('details-close').addEventListener('click', () => this.dialog.close())
    this.dialog.addEventListener('close', () => this.closed())
    // A click beside it.
    this.dialog.addEventListener('click', (event) => {
      if (event.target === this.dialog) this.dialog.close()
    })
    window.addEventListener('hashchange', () => this.follow())
  }

  /** Opens or closes what the address says. */
  follow() {
    // Whoever is not logged in comes back to it afterwards.
    if (byId('main').hidden) return
    const key = keyOf(location.hash)
    if (key === this.key) return
    if (key === null) return this.dialog.close()
    this.key = key
    this.task = null
    this.asked = null
    reconcile(byId('history'), [], HISTORY)
    setText(byId('history-said'), 'Loading…')
    if (!this.dialog.open) this.dialog.showModal()
    this.dialog.scrollTop = 0
    this.show()
    this.ask()
  }

  /** Nothing of it stays: somebody else may look at the page next. */
  forget() {
    if (this.dialog.open) this.dialog.close()
    reconcile(byId('history'), [], HISTORY)
    this.task = null
  }

  closed() {
    const { key } = this
    this.key = null
    clearTimeout(this.again)
    this.again = null
    if (keyOf(location.hash) !== null) history.replaceState(null, '', location.pathname + location.search)
    // Its row may have moved from one table to the other in the meantime.
    const { activeElement: focused } = document
    if (!focused || focused === document.body || this.dialog.contains(focused)) focusTask(key)
  }

  /** Something changed. */
  show() {
    if (this.key === null) return
    const before = this.task
    this.task = this.find(this.key) ?? before
    setText(byId('details-title'), `Flight task ${visible(this.task?.task ?? this.key, 400)}`)
    if (!this.task) return
    setProgress(byId('details-progress'), this.task.percent)
    for (const [place, show] of this.facts) show(place, this.task)
    if (before && before.events !== this.task.events && !this.again) {
      this.again = setTimeout(() => {
        this.again = null
        this.ask()
      }, AGAIN_AFTER_MS)
    }
  }

  async ask() {
    const { key } = this
    if (key === null) return
    try {
      const [dock, task] = parts(key)
      const path = `/api/v1/flight-tasks/${encodeURIComponent(dock)}/${encodeURIComponent(task)}`
      const answer = await get(`${path}?limit=${EVENTS_AT_MOST}`)
      if (this.key !== key) return
      if (!this.find(key)) this.task = answer.flight_task
      this.show()
      this.list(answer.history, answer.flight_task.events)
    } catch (error) {
      if (this.key === key) setText(byId('history-said'), `The events cannot be shown: ${visible(error.message, 200)}`)
    }
  }

  list(history, events) {
    const seen = new Map()
    const items = history.slice(0, EVENTS_AT_MOST).map(({ received_ms, event }) => {
      const base = `${received_ms} ${JSON.stringify(event)}`
      const times = (seen.get(base) ?? 0) + 1
      seen.set(base, times)
      return { received_ms, event, key: `${base} ${times}` }
    })
    reconcile(byId('history'), items, HISTORY)
    setText(byId('history-said'), events > items.length
      ? `The newest ${number(items.length)} of ${many(events, 'event')}.` : `${many(items.length, 'event')}.`)
  }
}

const HISTORY = {
  key: ({ key }) => key,
  create: ({ received_ms, event }) => {
    const summary = make('summary', {}, make('time', { text: clockTime(received_ms, serverNow()) }), ` ${summarize(event)}`)
    const details = make('details', {}, summary)
    // Written once somebody looks at it.
    details.addEventListener('toggle', () => {
      if (details.open && !details.querySelector('pre')) {
        details.append(make('pre', { tabindex: 0, 'aria-label': 'The event', text: json(event) }))
      }
    })
    return make('li', {}, details)
  },
  update: () => {},
}

/** JSON whose every line is visible as it is. */
function json(event) {
  return JSON.stringify(event, null, 2).split('\n').map((line) => visible(line, 4000)).join('\n')
}

/** An event in one line; a dock may say anything at any place. */
function summarize(event) {
  const output = event?.data?.output
  const progress = output?.progress
  const said = []
  const add = (value, say) => {
    if (['string', 'number'].includes(typeof value)) said.push(say(visible(value, 60)))
  }
  add(output?.status, (text) => text.replaceAll('_', ' '))
  add(progress?.percent, (text) => `${text} %`)
  add(progress?.current_step, (text) => `step ${text}`)
  add(output?.ext?.current_waypoint_index, (text) => `waypoint ${text}`)
  add(event?.data?.result || null, (text) => `result ${text}`)
  return said.length ? said.join(', ') : visible(event?.method, 60)
}

/** A serial number has no slash; an id may. */
function parts(key) {
  const at = key.indexOf('/')
  return [key.slice(0, at), key.slice(at + 1)]
}

function keyOf(hash) {
  if (!hash.startsWith('#task/')) return null
  try {
    return decodeURIComponent(hash.slice('#task/'.length))
  } catch {
    return null
  }
}

/** Opens a task's details. */
export function openTask(key) {
  location.hash = taskHash(key)
}

/** The focus goes to a task's button, wherever its row is now. */
export function focusTask(key) {
  const buttons = [...document.querySelectorAll('#running button.task, #finished button.task')]
  const button = buttons.find((one) => one.dataset.task === key)
  if (button) button.focus({ preventScroll: true })
  return Boolean(button)
}

