// The docks and their presence.

import { byId, make, setAttribute, setText, setTime, table } from './dom.js'
import { DOCKS_AT_MOST } from './model.js'
import { outcome, setTaskButton, taskButton } from './tasks.js'
import { clockOffset, modelText, NOTHING, number, statusText, visible } from './words.js'

/** A dock refuses tasks when its clock is off by so much. */
const REFUSES_AT_MS = 30_000

export function presence(dock) {
  if (!dock.is_online) return 'offline'
  return dock.is_silent ? 'silent' : 'online'
}

const MARKS = { online: 'good', silent: 'warn', offline: 'bad' }

const COLUMNS = [
  { name: 'dock', title: 'Dock', update: (cell, dock) => setText(cell, visible(dock.dock, 64)) },
  {
    name: 'status',
    title: 'Presence',
    create: (dock) => {
      const label = `Why can't ${visible(dock.dock)} connect?`
      const why = make('button', { type: 'button', class: 'small', 'data-why': dock.dock, 'aria-label': label, text: 'Why?' })
      return [make('span', { class: 'mark' }), why]
    },
    update: (cell, dock) => {
      const [mark, why] = cell.children
      setText(mark, presence(dock))
      setAttribute(mark, 'data-mark', MARKS[presence(dock)])
      why.hidden = dock.is_online
    },
  },
  {
    name: 'heard',
    title: 'Last seen',
    create: () => [make('time')],
    update: (cell, dock) => setTime(cell.firstChild, dock.last_ms, 'age'),
  },
  {
    name: 'current',
    title: 'Flight task',
    create: () => [make('span', { class: 'mark' }), make('span', { class: 'faint' })],
    update: (cell, { flight_task: task }) => {
      const [mark, nothing] = cell.children
      mark.hidden = !task
      setText(nothing, task ? '' : 'none yet')
      if (!task) return
      if (!mark.firstChild) mark.append(taskButton())
      const percent = !task.is_over && Number.isFinite(task.percent) ? ` ${Math.round(task.percent)} %` : ''
      setText(mark.firstChild, statusText(task.status) + percent)
      setTaskButton(mark.firstChild, task)
      setAttribute(mark, 'data-mark', outcome(task))
    },
  },
  {
    name: 'aircraft',
    title: 'Aircraft',
    update: (cell, { aircraft }) =>
      setText(cell, aircraft?.length ? aircraft.slice(0, 8).map((sn) => visible(sn, 64)).join(', ') : NOTHING),
  },
  { name: 'model', title: 'Model', update: (cell, dock) => setText(cell, modelText(dock.model)) },
  { name: 'firmware', title: 'Firmware', update: (cell, dock) => setText(cell, visible(dock.firmware, 40)) },
  {
    name: 'clock',
    title: 'Clock',
    create: () => [make('span'), make('span', { class: 'flag' })],
    update: (cell, dock) => {
      const [offset, flag] = cell.children
      setText(offset, clockOffset(dock.clock_offset_ms))
      flag.hidden = !dock.is_clock_off
      setText(flag, Math.abs(dock.clock_offset_ms) >= REFUSES_AT_MS ? 'off: refuses tasks' : 'off')
    },
  },
  {
    name: 'replies',
    title: 'Replies / events',
    update: (cell, dock) => setText(cell, `${number(dock.replies)} / ${number(dock.events)}`),
  },
]

export class Docks {
  constructor() {
    const row = (tr, dock) => setAttribute(tr, 'data-mark', MARKS[presence(dock)])
    this.showRows = table(byId('docks-table'), COLUMNS, { key: (dock) => dock.dock, row })
  }

  show(docks) {
    this.showRows(docks)
    const count = (of) => docks.filter((dock) => presence(dock) === of).length
    const parts = ['online', 'silent', 'offline'].map((of) => [count(of), of]).filter(([n]) => n > 0)
    setText(byId('docks-count'), parts.map(([n, of]) => `${number(n)} ${of}`).join(', '))
    byId('docks-none').hidden = docks.length > 0
    const more = byId('docks-more')
    more.hidden = docks.length < DOCKS_AT_MOST
    setText(more, `The ${number(DOCKS_AT_MOST)} that were heard of last are shown.`)
  }
}
