// Messages that have passed: which are kept, and how they are said. No document and no network in here.

import { clockTime, many, number, visible } from './words.js'

/** Rows that are kept; the oldest go first. */
export const ROWS_AT_MOST = 500

/** What is nested deeper is not moved further in. */
const DEEPEST = 20

/** A string, an empty pair, a mark, or anything else of JSON; a string that was cut has no end. */
const TOKENS = /"(?:[^"\\]|\\[^])*"?|[{[]\s*[}\]]|[{}[\],:]|[^\s{}[\],:"]+/g

export class Passing {
  constructor() {
    /** The number of the next row; none is given twice. */
    this.next = 0
    this.forget()
  }

  forget() {
    this.rows = []
    this.messages = 0
    this.left = { messages: 0, batches: 0 }
  }

  message(message) {
    this.messages += 1
    this.add({ message })
  }

  leftOut({ messages, batches }, timeMs) {
    this.left.messages += messages
    this.left.batches += batches
    // What goes on and on without a message in between is one row.
    const last = this.rows.at(-1)?.left
    if (last) this.rows.pop()
    const left = { messages: messages + (last?.messages ?? 0), batches: batches + (last?.batches ?? 0) }
    this.add({ left, gap: `${leftOutText(left)}.`, timeMs })
  }

  /** Between the rows before and those that come next some are missing, and why. */
  gap(text, timeMs) {
    if (this.rows.length && this.rows.at(-1).gap !== text) this.add({ gap: text, timeMs })
  }

  add(row) {
    this.rows.push({ ...row, n: this.next++ })
    if (this.rows.length > ROWS_AT_MOST) this.rows.shift()
  }
}

export function leftOutText({ messages, batches }) {
  const parts = []
  if (messages) parts.push(`${many(messages, 'message')} left out`)
  if (batches) parts.push(`${many(batches, 'batch', 'batches')} of messages went by unseen`)
  return parts.join(', ')
}

/** How many have passed, and what was left out of them. */
export function countsText({ messages, left }) {
  const kept = messages > ROWS_AT_MOST ? `; the newest ${number(ROWS_AT_MOST)} are kept` : ''
  const out = leftOutText(left)
  return `${many(messages, 'message')}${kept}.${out ? ` Too fast to be shown: ${out}. A narrower filter shows more.` : ''}`
}

/** Clock time to the millisecond: what is asked of traffic is what came before what. */
export function exactTime(ms, nowMs) {
  return `${clockTime(ms, nowMs)}.${String(Math.floor(ms) % 1000).padStart(3, '0')}`
}

export function bytesText({ bytes, is_cut: isCut, text, hex }) {
  if (!isCut) return many(bytes, 'byte')
  const shown = text === null ? hex.length / 2 : new TextEncoder().encode(text).length
  return `${many(bytes, 'byte')}, the first ${number(shown)} are shown`
}

/** A payload in one line. */
export function payloadLine({ bytes, text, hex }) {
  if (bytes === 0) return 'empty'
  return text === null ? visible(`0x${hex}`, 120) : visible(text.replace(/\s+/g, ' ').trim(), 240)
}

/** What a message of DJI is about: its member "method", if that came and is a name; else nothing. */
export function methodText({ text }) {
  let [depth, before, last] = [0, '', '']
  for (const [token] of (text ?? '').matchAll(TOKENS)) {
    if (depth === 1 && before === '"method"' && last === ':') return token.match(/^"([\w.:/-]{1,60})"$/)?.[1] ?? ''
    if (token === '{' || token === '[') depth += 1
    if (token === '}' || token === ']') depth -= 1
    ;[before, last] = [last, token]
  }
  return ''
}

/** What came of a payload: JSON a member a line, other text as it is, or bytes in hexadecimal. */
export function payloadText({ text, hex, is_cut: isCut }) {
  if (text === null) return hex.match(/../g).join(' ')
  return (isJson(text, isCut) ? indented(text) : text).split(/\r?\n/)
    .map((line) => line.split('\t').map((part) => visible(part, 4000)).join('\t')).join('\n')
}

function isJson(text, isCut) {
  if (!/^\s*[{[]/.test(text)) return false
  // The end is missing: nobody can tell, and it is read as easily.
  if (isCut) return true
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** JSON with its parts moved in. Numbers and strings stay as they were sent: a parser would round and unescape them. */
function indented(json) {
  let depth = 0
  let out = ''
  const line = () => `\n${'  '.repeat(Math.min(depth, DEEPEST))}`
  for (const [token] of json.matchAll(TOKENS)) {
    if (token === '{' || token === '[') {
      depth += 1
      out += token + line()
    } else if (token === '}' || token === ']') {
      depth = Math.max(0, depth - 1)
      out += line() + token
    } else if (token === ',') out += token + line()
    else if (token === ':') out += ': '
    else out += token
  }
  return out
}
