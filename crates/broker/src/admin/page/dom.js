// The few things that are done to the document. Text goes in as text, never as HTML.

import { clockTime, duration, NOTHING, span } from './words.js'
import { serverNow } from './server_clock.js'

export const byId = (id) => document.getElementById(id)

/** An element with attributes and children; `text` and `class` are what they say. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (key === 'text') element.textContent = value
    else if (value !== null && value !== false) element.setAttribute(key, value === true ? '' : value)
  }
  element.append(...children)
  return element
}

/** Only what changed is written: a screen reader and a selection stay where they are. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}

export function setAttribute(element, name, value) {
  if (value === null || value === false) element.removeAttribute(name)
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value)
}

/** Shows a time; `kind` is "age" (so long ago), "duration" (since then, it goes on) or "clock". */
export function setTime(element, ms, kind) {
  if (!Number.isFinite(ms)) {
    delete element.dataset.ms
    setText(element, NOTHING)
    return
  }
  setAttribute(element, 'data-ms', ms)
  setAttribute(element, 'data-kind', kind)
  setAttribute(element, 'title', clockTime(ms, serverNow()))
  showTime(element)
}

function showTime(element) {
  const ms = Number(element.dataset.ms)
  const { kind } = element.dataset
  const now = serverNow()
  if (kind === 'clock') setText(element, clockTime(ms, now))
  else setText(element, kind === 'duration' ? duration(now - ms) : span(now - ms))
}

/** Each second: every age that is on the page. */
export function showTimes() {
  for (const element of document.querySelectorAll('[data-ms]')) showTime(element)
}

/**
 * Makes the children of `parent` those of `items`, in their order. A child of the same key stays the same element,
 * and is moved only if it must be, so that the focus stays where it is.
 */
export function reconcile(parent, items, { key, create, update }) {
  const before = new Map()
  for (const child of parent.children) before.set(child.dataset.key, child)
  const wanted = new Set(items.map(key))
  for (const [name, child] of before) if (!wanted.has(name)) child.remove()
  let next = parent.firstElementChild
  for (const item of items) {
    const name = key(item)
    let child = before.get(name)
    if (!child) {
      child = create(item)
      child.dataset.key = name
    }
    if (child === next) next = next.nextElementSibling
    else parent.insertBefore(child, next)
    update(child, item)
  }
}

/**
 * A table of `columns`, each `{ name, title, create?, update(cell, item) }`. On a narrow screen a row is a card and
 * each cell says its title itself; the roles keep it a table for a screen reader even then.
 */
export function table(element, columns, { key, row }) {
  const titles = columns.map(({ title }) => make('th', { scope: 'col', role: 'columnheader', text: title }))
  element.tHead.replaceChildren(make('tr', { role: 'row' }, ...titles))
  const create = (item) => {
    const cells = columns.map(({ name, title, create: inside }) =>
      make('td', { role: 'cell', 'data-label': title, class: `c-${name}` }, ...(inside ? inside(item) : [])))
    return make('tr', { role: 'row' }, ...cells)
  }
  const update = (tr, item) => {
    columns.forEach((column, at) => {
      const cell = tr.cells[at]
      column.update(cell, item)
      // A card leaves it out.
      cell.toggleAttribute('data-empty', cell.textContent === NOTHING)
    })
    row?.(tr, item)
  }
  return (items) => {
    element.hidden = items.length === 0
    reconcile(element.tBodies[0], items, { key, create, update })
  }
}

/** A progress bar with its percent beside it; unknown until a device says it. */
export function progressBar(name) {
  return [make('progress', { max: 100, 'aria-label': name }), make('span', { class: 'percent' })]
}

export function setProgress(place, percent) {
  const [bar, text] = place.children
  const known = Number.isFinite(percent)
  // A device may say anything: the bar has its bounds, the text says what it said.
  if (known) setAttribute(bar, 'value', Math.min(100, Math.max(0, percent)))
  else bar.removeAttribute('value')
  setText(text, known ? `${Math.round(percent * 10) / 10} %` : 'not said')
}
