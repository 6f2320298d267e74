// Why can't it connect? What was refused or dropped, and what to do about it.

import { get } from './api.js'
import { byId, make, reconcile, setText, setTime, table } from './dom.js'
import { many, number, visible } from './words.js'

const ROWS_AT_MOST = 100
const AGAIN_AFTER_MS = 10_000

const text = (name, title, say) => ({ name, title, update: (cell, refusal) => setText(cell, say(refusal)) })

const COLUMNS = [
  {
    name: 'heard',
    title: 'When',
    create: () => [make('time'), make('span', { class: 'faint' })],
    update: (cell, refusal) => {
      const [time, count] = cell.children
      setTime(time, refusal.time_ms, 'age')
      setText(count, refusal.count > 1 ? ` ${number(refusal.count)} times` : '')
    },
  },
  text('client', 'Client', ({ client_id: id }) => visible(id, 64)),
  text('user', 'User', ({ user }) => visible(user, 64)),
  text('address', 'Address', ({ address }) => visible(address, 64)),
  text('stage', 'At', ({ stage }) => visible(stage, 20)),
  text('reason', 'Reason', ({ reason, topic }) =>
    (topic ? `${visible(reason, 300)} (topic ${visible(topic, 200)})` : visible(reason, 300))),
  text('remedy', 'What to do', ({ remedy }) => visible(remedy || null, 400)),
]

const keyOf = ({ address, client_id: id, user, topic, stage, reason, first_ms: first }) =>
  JSON.stringify([address, id, user, topic, stage, reason, first])

export class Why {
  constructor() {
    this.showRows = table(byId('why-table'), COLUMNS, { key: keyOf })
    this.query = ''
    this.asking = null
    byId('why-form').addEventListener('submit', (event) => {
      event.preventDefault()
      this.search(byId('why-query').value)
    })
    // The cross in a search field empties it, without a submit.
    byId('why-query').addEventListener('search', (event) => this.search(event.target.value))
    setInterval(() => {
      if (this.isLive && !document.hidden && !this.asking) this.ask()
    }, AGAIN_AFTER_MS)
  }

  /** It is asked again now and then, as long as the page is live; done when it was asked once. */
  async setLive(isLive) {
    this.isLive = isLive
    if (isLive) await this.ask()
  }

  /** Nobody who logs in next sees what was here. */
  forget() {
    this.setLive(false)
    this.asking?.abort()
    this.asking = null
    this.query = byId('why-query').value = ''
    this.show({ refusals: [], connected: [] })
    setText(byId('why-said'), '')
  }

  searchFor(text) {
    byId('why-query').value = text
    this.search(text)
    byId('why').scrollIntoView()
    byId('why-query').focus({ preventScroll: true })
  }

  search(text) {
    this.query = text.trim()
    this.ask()
  }

  async ask() {
    this.asking?.abort()
    const asking = new AbortController()
    this.asking = asking
    try {
      const answer = await get(`/api/v1/why?q=${encodeURIComponent(this.query)}`, asking.signal)
      if (this.asking === asking) this.show(answer)
    } catch (error) {
      if (this.asking === asking) setText(byId('why-said'), `It cannot be told now: ${visible(error.message, 200)}`)
    } finally {
      if (this.asking === asking) this.asking = null
    }
  }

  show({ refusals, connected }) {
    this.showRows(refusals.slice(0, ROWS_AT_MOST))
    reconcile(byId('why-connected'), connected.slice(0, ROWS_AT_MOST), {
      key: ({ client_id: id, address }) => JSON.stringify([id, address]),
      create: () => make('li'),
      update: (li, { client_id: id, user, address }) => {
        const as = user === null ? 'without a user' : `as user ${visible(user, 64)}`
        setText(li, `Connected now: ${visible(id, 64)}, ${as}, from ${visible(address, 64)}`)
      },
    })
    setText(byId('why-said'), this.said(refusals.length, connected.length))
  }

  said(refusals, connected) {
    const about = this.query ? ` about “${visible(this.query, 64)}”` : ''
    if (refusals > ROWS_AT_MOST) return `The newest ${ROWS_AT_MOST} of ${number(refusals)} entries${about}. Search to see others.`
    if (refusals) return `${many(refusals, 'entry', 'entries')}${about}.`
    if (!this.query) return 'Nothing was refused or dropped since the broker started.'
    if (connected) return `It is connected, and nothing${about} was refused or dropped.`
    return `Nothing is known${about}: it has not reached this broker. Look at its address, its port, and what is between. ` +
      'A whole serial number, address, client identifier or user is searched for, not a part of one.'
  }
}
