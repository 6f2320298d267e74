// Running and finished flight tasks.

import { byId, make, progressBar, setAttribute, setProgress, setText, setTime, table } from './dom.js'
import { RUNNING_AT_MOST, taskKey } from './model.js'
import { codeText, duration, many, NOTHING, number, statusText, stepText, visible, waypointText } from './words.js'

/** So many finished tasks are shown until somebody asks for all of them. */
const FIRST_FINISHED = 12

/** Where a task's details are: a link that can be sent to somebody. */
export const taskHash = (key) => `#task/${encodeURIComponent(key)}`

/** A button that opens a task's details. */
export function taskButton() {
  return make('button', { type: 'button', class: 'task' })
}

export function setTaskButton(button, task) {
  setAttribute(button, 'data-task', taskKey(task))
  setAttribute(button, 'title', visible(task.task, 400))
  // What is seen comes first, so that it can be said to a program that listens.
  setAttribute(button, 'aria-label', `${button.textContent}: details of flight task ${visible(task.task)} of ${visible(task.dock)}`)
}

/** How it went, in words that colour only repeats. */
export function outcome(task) {
  if (!task.is_over) return task.is_silent ? 'warn' : 'busy'
  if (task.status === 'ok') return 'good'
  return task.status === 'partially_done' || task.status === 'canceled' ? 'warn' : 'bad'
}

const text = (name, title, say) => ({ name, title, update: (cell, task) => setText(cell, say(task)) })

const taskColumn = {
  name: 'task',
  title: 'Flight task',
  create: () => [taskButton()],
  update: (cell, task) => {
    setText(cell.firstChild, visible(task.task, 48))
    setTaskButton(cell.firstChild, task)
  },
}

const statusColumn = {
  name: 'status',
  title: 'Status',
  create: () => [make('span', { class: 'mark' }), make('span', { class: 'flag' })],
  update: (cell, task) => {
    const [mark, flag] = cell.children
    setText(mark, statusText(task.status))
    setAttribute(mark, 'data-mark', outcome(task))
    setText(flag, task.is_silent && !task.is_over ? 'silent' : '')
    flag.hidden = !flag.textContent
  },
}

const heardColumn = {
  name: 'heard',
  title: 'Last heard',
  create: () => [make('time')],
  update: (cell, task) => setTime(cell.firstChild, task.last_ms, 'age'),
}

const RUNNING = [
  text('dock', 'Dock', (task) => visible(task.dock, 64)),
  taskColumn,
  statusColumn,
  {
    name: 'progress',
    title: 'Progress',
    create: (task) => progressBar(`Progress of flight task ${visible(task.task)} of ${visible(task.dock)}`),
    update: (cell, task) => setProgress(cell, task.percent),
  },
  text('step', 'Step', stepText),
  text('waypoint', 'Waypoint', waypointText),
  {
    name: 'duration',
    title: 'Duration',
    create: () => [make('time')],
    update: (cell, task) => setTime(cell.firstChild, task.first_ms, 'duration'),
  },
  heardColumn,
]

const FINISHED = [
  text('dock', 'Dock', (task) => visible(task.dock, 64)),
  taskColumn,
  statusColumn,
  text('result', 'Result', (task) => codeText(task.result, task.result_text)),
  text('break', 'Break reason', breakText),
  text('media', 'Media', (task) => (Number.isFinite(task.media_count) ? number(task.media_count) : NOTHING)),
  text('duration', 'Duration', (task) => duration(task.last_ms - task.first_ms)),
  { ...heardColumn, title: 'Ended', name: 'heard' },
]

/** 0 says that nothing broke it off. */
function breakText(task) {
  return task.break_reason === 0 ? NOTHING : codeText(task.break_reason, task.break_reason_text)
}

function mark(row, task) {
  setAttribute(row, 'data-mark', outcome(task))
  setAttribute(row, 'data-task', taskKey(task))
}

export class Tasks {
  constructor() {
    this.showRunning = table(byId('running-table'), RUNNING, { key: taskKey, row: mark })
    this.showFinished = table(byId('finished-table'), FINISHED, { key: taskKey, row: mark })
    this.isAll = false
    this.all = byId('finished-all')
    this.all.addEventListener('click', () => {
      this.isAll = !this.isAll
      this.finish(this.finished)
    })
  }

  show(running, finished) {
    this.run(running)
    this.finish(finished)
  }

  run(running) {
    this.showRunning(running)
    const silent = running.filter((task) => task.is_silent).length
    setText(byId('running-count'), silent ? `${number(running.length)}, ${number(silent)} silent` : number(running.length))
    byId('running-none').hidden = running.length > 0
    const more = byId('running-more')
    more.hidden = running.length < RUNNING_AT_MOST
    setText(more, `The ${number(RUNNING_AT_MOST)} that were heard of last are shown.`)
  }

  finish(finished) {
    this.finished = finished
    this.showFinished(this.isAll ? finished : finished.slice(0, FIRST_FINISHED))
    setText(byId('finished-count'), number(finished.length))
    byId('finished-none').hidden = finished.length > 0
    this.all.hidden = finished.length <= FIRST_FINISHED
    setAttribute(this.all, 'aria-expanded', this.isAll)
    setText(this.all, this.isAll ? 'Show fewer' : `Show all ${many(finished.length, 'finished task')}`)
  }
}
