// Messages as they pass, for operators.

import { byId, make, reconcile, setAttribute, setText } from './dom.js'
import { bytesText, countsText, exactTime, methodText, Passing, payloadLine, payloadText } from './passing.js'
import { serverNow } from './server_clock.js'
import { tail } from './tail.js'
import { clockTime, number, visible } from './words.js'

/** However many come, the document changes so often. */
const SHOW_AFTER_MS = 250
/** Few may look on: who does not look at the page for so long gives the place back. */
const AWAY_AFTER_MS = 60_000
/** After a stream that ended while the page is live: each that begins is in the audit log. */
const RETRY_MS = 3_000

const MISSING = 'what passed until the next message is not shown.'

/** Somebody reads a message, or stands on one with the keyboard. */
const READ = '#passing details[open], #passing :focus-visible, #traffic-newest:focus-visible'

export class Traffic {
  constructor() {
    this.passing = new Passing()
    /** What is looked at; null: nothing. */
    this.filter = null
    /** Ends the stream. */
    this.tailing = null
    this.lostMs = null
    this.isLive = false
    this.isAway = false
    /** The number of the first row that was not drawn yet. */
    this.drawn = 0
    byId('traffic-form').addEventListener('submit', (event) => {
      event.preventDefault()
      this.start(byId('traffic-filter').value.trim())
    })
    byId('traffic-stop').addEventListener('click', () => this.stop('Stopped.'))
    byId('traffic-newest').addEventListener('click', () => this.release())
    // Whoever has read goes on with the newest.
    byId('traffic-rows').addEventListener('scroll', () => this.showSoon())
    byId('traffic').addEventListener('focusout', () => this.showSoon())
    document.addEventListener('visibilitychange', () => this.look())
  }

  /** Whether this user may see messages; if not, that is said in place of the form. */
  allow({ is_needed: isNeeded, user, role }) {
    const isAllowed = !isNeeded || role === 'operator'
    byId('traffic-form').hidden = !isAllowed
    byId('traffic-denied').hidden = isAllowed
    setText(byId('traffic-user'), `${visible(user, 40)} is a ${visible(role, 20)}`)
    if (isAllowed) this.show()
    else this.forget()
  }

  setLive(isLive) {
    this.isLive = isLive
    if (isLive) this.connect()
    else if (this.filter !== null && !this.isAway) this.lose('The page is not live.', 'as soon as it is')
  }

  /** Nobody who logs in next sees what was here. */
  forget() {
    this.clear()
    this.stop('')
    byId('traffic-filter').value = byId('traffic-filter').defaultValue
  }

  start(filter) {
    this.disconnect()
    this.clear()
    this.filter = filter
    this.say('Starting…')
    this.setLive(this.isLive)
    this.show()
  }

  stop(why) {
    const hadFocus = document.activeElement === byId('traffic-stop')
    this.filter = null
    this.disconnect()
    this.say(why)
    this.show()
    // The button that was pressed is gone.
    if (hadFocus) byId('traffic-start').focus({ preventScroll: true })
  }

  async connect() {
    if (this.filter === null || this.tailing || !this.isLive || this.isAway) return
    clearTimeout(this.retry)
    const tailing = new AbortController()
    this.tailing = tailing
    try {
      await tail(this.filter, tailing.signal, (kind, data) => {
        if (this.tailing === tailing) this.hear(kind, data)
      })
    } catch (error) {
      if (this.tailing !== tailing) return
      // A refusal is meant; all else may be over in a moment.
      if (error.status) return this.refuse(error)
      this.lose(error.message, 'by itself')
      this.retry = setTimeout(() => this.connect(), RETRY_MS)
    }
  }

  disconnect() {
    clearTimeout(this.retry)
    this.tailing?.abort()
    this.tailing = null
  }

  hear(kind, data) {
    if (kind === 'started') {
      this.lostMs = null
      this.say(`What matches “${visible(data.filter, 120)}” is shown as it passes, ${number(data.messages_per_s)} messages a second at most.`)
    }
    if (kind === 'message') this.passing.message(data)
    if (kind === 'left_out') this.passing.leftOut(data, serverNow())
    this.showSoon()
  }

  refuse({ status, message }) {
    this.stop(`This cannot be shown: ${visible(message, 400)}`)
    if (status !== 400) return
    setAttribute(byId('traffic-filter'), 'aria-invalid', 'true')
    byId('traffic-filter').focus()
  }

  lose(why, when) {
    this.disconnect()
    this.lostMs ??= serverNow()
    this.passing.gap(`Not connected: ${MISSING}`, this.lostMs)
    this.say(`Not connected since ${clockTime(this.lostMs, serverNow())}: ${visible(why, 200)} It goes on ${when}.`)
    this.showSoon()
  }

  look() {
    clearTimeout(this.away)
    if (document.hidden) {
      this.away = setTimeout(() => this.pause(), AWAY_AFTER_MS)
      return
    }
    this.isAway = false
    this.setLive(this.isLive)
  }

  pause() {
    this.isAway = true
    if (this.filter === null) return
    this.disconnect()
    this.passing.gap(`Nobody looked at this page: ${MISSING}`, serverNow())
    this.say('Paused, as nobody looks at this page. It goes on when somebody does.')
    this.showSoon()
  }

  /** A screen reader hears it: what begins and ends, never each message. */
  say(text) {
    setText(byId('traffic-said'), text)
    setAttribute(byId('traffic-filter'), 'aria-invalid', null)
    if (this.filter === null) this.lostMs = null
  }

  clear() {
    this.passing.forget()
    reconcile(byId('passing'), [], ROW)
    this.drawn = this.passing.next
  }

  release() {
    for (const details of byId('passing').querySelectorAll('details[open]')) details.open = false
    byId('traffic-rows').scrollTop = 0
    byId('traffic-start').focus({ preventScroll: true })
    this.show()
  }

  showSoon() {
    this.showing ??= setTimeout(() => this.show(), SHOW_AFTER_MS)
  }

  show() {
    clearTimeout(this.showing)
    this.showing = null
    const { rows, next } = this.passing
    const isOn = this.filter !== null
    byId('traffic-stop').hidden = !isOn
    setText(byId('traffic-start'), isOn ? 'Start anew' : 'Start')
    setText(byId('traffic-counts'), isOn || rows.length ? countsText(this.passing) : '')
    byId('traffic-none').hidden = rows.length > 0 || byId('traffic-form').hidden
    byId('traffic-rows').hidden = rows.length === 0
    // Nothing moves under whoever reads.
    const isHeld = this.drawn < next && this.isRead()
    byId('traffic-newest').hidden = !isHeld
    const newer = rows.filter(({ n }) => n >= this.drawn).length
    setText(byId('traffic-newest'), `Held while you read: show ${number(newer)} newer`)
    if (isHeld) return
    reconcile(byId('passing'), [...rows].reverse(), ROW)
    this.drawn = next
  }

  isRead() {
    return byId('traffic-rows').scrollTop > 0 || byId('traffic').querySelector(READ) !== null
  }
}

const ROW = {
  key: ({ n }) => String(n),
  create: ({ message, gap, timeMs }) => {
    if (!message) return make('li', { class: 'gap' }, make('span', { text: exactTime(timeMs, serverNow()) }), ` ${gap}`)
    // With spaces in between, for whoever hears it or copies it.
    const cells = CELLS.flatMap(([name, say]) => [make('span', { class: `m-${name}`, text: say(message) }), ' '])
    const method = methodText(message)
    if (method) cells.at(-2).prepend(make('strong', { text: method }), ' ')
    const details = make('details', {}, make('summary', {}, ...cells))
    // Written once somebody looks at it.
    details.addEventListener('toggle', () => {
      if (details.open && !details.querySelector('pre')) details.append(...whole(message))
    })
    return make('li', {}, details)
  },
  update: () => {},
}

const CELLS = [
  ['time', ({ time_ms: ms }) => exactTime(ms, serverNow())],
  ['client', client],
  ['qos', ({ qos, retain }) => `QoS ${number(qos)}${retain ? ' retained' : ''}`],
  ['topic', ({ topic }) => visible(topic, 400)],
  ['payload', payloadLine],
]

function client({ client: id, is_broker: isBroker }) {
  if (id !== null) return `“${visible(id, 128)}”`
  return isBroker ? '(broker)' : '(gone)'
}

function whole(message) {
  const fact = (title, text) => make('div', {}, make('dt', { text: title }), make('dd', { text }))
  const facts = [fact('Topic', visible(message.topic, 4000)), fact('Payload', bytesText(message))]
  return [
    make('dl', { class: 'facts' }, ...facts),
    make('pre', { tabindex: 0, 'aria-label': 'The payload', text: payloadText(message) }),
  ]
}
