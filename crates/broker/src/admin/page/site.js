// Figures of the site, and the conditions that fire.

import { byId, make, reconcile, setAttribute, setText } from './dom.js'
import { latency, many, NOTHING, number, rate, visible } from './words.js'

const CONDITIONS_AT_MOST = 50
const TOLD_AT_MOST = 4

const FIGURES = [
  ['ready', 'Broker', (site) => (site.is_ready ? 'ready' : 'not ready'), (site) => (site.is_ready ? 'good' : 'bad')],
  ['connections', 'Connections', (site) => number(site.connections)],
  ['messages', 'Messages/s', (site) => rate(site.messages_per_s)],
  ['events', 'Events/s', (site) => rate(site.events_per_s)],
  ['replies', 'Replies/s', (site) => rate(site.replies_per_s)],
  ['p50', 'Reply p50', (site) => latency(site.reply_p50_us)],
  ['p99', 'Reply p99', (site) => latency(site.reply_p99_us)],
]

const RANKS = { critical: 0, error: 1, warning: 2 }
const rank = ({ severity }) => RANKS[severity] ?? 3
const markOf = (condition) => (rank(condition) < 2 ? 'bad' : rank(condition) === 2 ? 'warn' : 'info')

/** Which condition it is, without the figures in its text that change while it goes on. */
function identify(conditions) {
  const seen = new Map()
  return conditions.map((condition) => {
    const base = `${condition.name} ${condition.text}`.replace(/(^|\s)\d{1,6}(\.\d+)?(?=[\s%,.;]|$)/g, '$1#')
    const times = (seen.get(base) ?? 0) + 1
    seen.set(base, times)
    return { ...condition, key: `${base} ${times}` }
  })
}

export class Site {
  constructor() {
    const boxes = FIGURES.map(([name, title]) =>
      make('div', {}, make('dt', { text: title }), make('dd', { id: `figure-${name}`, text: NOTHING })))
    byId('figures').replaceChildren(...boxes)
    this.told = new Map()
  }

  show(site) {
    for (const [name, , say, mark] of FIGURES) {
      const figure = byId(`figure-${name}`)
      setText(figure, site ? say(site) : NOTHING)
      if (mark) setAttribute(figure, 'data-mark', site ? mark(site) : null)
    }
    const conditions = identify(site?.conditions ?? []).sort((a, b) => rank(a) - rank(b))
    this.list(conditions, site !== null)
    if (site) this.tell(conditions)
    return conditions.length
  }

  /** Whoever logs in next is told anew, and hears nothing of before. */
  forget() {
    this.told.clear()
    setText(byId('told'), '')
  }

  list(conditions, isKnown) {
    reconcile(byId('conditions-list'), conditions.slice(0, CONDITIONS_AT_MOST), {
      key: ({ key }) => key,
      create: () => make('li', {}, make('strong'), make('span', { class: 'name' }), make('span', { class: 'text' })),
      update: (li, condition) => {
        const [severity, name, text] = li.children
        setAttribute(li, 'data-mark', markOf(condition))
        setText(severity, visible(condition.severity, 20))
        setText(name, visible(condition.name, 60))
        setText(text, visible(condition.text, 400))
      },
    })
    setText(byId('conditions-count'), isKnown ? number(conditions.length) : '')
    const none = byId('conditions-none')
    const more = conditions.length - CONDITIONS_AT_MOST
    none.hidden = conditions.length > 0 && more <= 0
    const quiet = isKnown ? 'None: nothing needs attention.' : 'Not known yet.'
    setText(none, more > 0 ? `and ${many(more, 'more', 'more')}` : quiet)
    setAttribute(byId('conditions'), 'data-mark', conditions.length ? markOf(conditions[0]) : null)
  }

  /** A screen reader hears what is new and what is over, not each change of a figure. */
  tell(conditions) {
    const now = new Map(conditions.map((condition) => [condition.key, condition]))
    const begun = conditions.filter(({ key }) => !this.told.has(key))
    const over = [...this.told.values()].filter(({ key }) => !now.has(key))
    this.told = now
    const say = (list, word) => {
      const texts = list.slice(0, TOLD_AT_MOST).map(({ severity, text }) => `${word} ${visible(severity, 20)}: ${visible(text, 200)}`)
      if (list.length > TOLD_AT_MOST) texts.push(`and ${list.length - TOLD_AT_MOST} more`)
      return texts
    }
    const texts = [...say(begun, 'New'), ...say(over, 'Over:')]
    if (texts.length) tell(texts.join('. '))
  }
}

const TOGETHER_MS = 1_000
let toldMs = 0

/** Says it in the polite live region; what comes at the same time does not push out what was there. */
export function tell(text) {
  const told = byId('told')
  const before = Date.now() - toldMs < TOGETHER_MS ? `${told.textContent} ` : ''
  toldMs = Date.now()
  setText(told, (before + text).slice(-2_000))
}
