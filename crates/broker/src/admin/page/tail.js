// The stream of messages as they pass. Not an EventSource: that tells nothing of a refusal, and comes back unasked.

import { Failed, stream } from './api.js'

/** An event holds one message, with the beginning of its payload. */
const EVENT_CHARS = 1 << 20

/** A comment comes every 10 s. */
const SILENT_AFTER_MS = 30_000

/**
 * Calls `on(kind, data)` for each event, until `signal` is aborted; throws `Failed` when it is refused, and when it ends
 * (without a status: it may be asked for again).
 */
export async function tail(filter, signal, on) {
  const response = await stream(`/api/v1/tail?filter=${encodeURIComponent(filter)}`, signal)
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { value, done } = await next(reader)
    if (signal.aborted) return
    if (done) throw new Failed('The broker has ended it.')
    const events = (rest + value).split('\n\n')
    rest = events.pop()
    if (rest.length > EVENT_CHARS) throw new Failed('What was sent is nothing that this page knows.')
    for (const event of events) hear(event, on)
  }
}

function next(reader) {
  let timer
  const silence = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Failed('The broker says nothing any more.')), SILENT_AFTER_MS)
  })
  const lost = () => {
    throw new Failed('The connection to the broker was lost.')
  }
  return Promise.race([reader.read().catch(lost), silence]).finally(() => clearTimeout(timer))
}

function hear(event, on) {
  const member = (name) => event.match(new RegExp(`^${name}: (.*)$`, 'm'))?.[1]
  const [kind, text] = [member('event'), member('data')]
  // A comment keeps the connection alive.
  if (kind && text) on(kind, JSON.parse(text))
}
