// What is known of the site. No document and no network in here.

/** Finished tasks that are kept; a page that is open for months forgets those that were heard of first. */
export const FINISHED_AT_MOST = 200
export const RUNNING_AT_MOST = 300
export const DOCKS_AT_MOST = 1000

/** A task is known by its dock and its id: two docks of one mission have the same id. */
export const taskKey = (task) => `${task.dock}/${task.task}`

const serials = new Intl.Collator('en', { numeric: true })

export class Model {
  constructor() {
    this.forget()
  }

  forget() {
    this.docks = new Map()
    this.tasks = new Map()
    this.site = null
  }

  snapshot({ docks = [], flight_tasks = [] }) {
    this.docks.clear()
    this.tasks.clear()
    for (const task of flight_tasks) this.tasks.set(taskKey(task), task)
    for (const dock of docks) this.dock(dock)
    this.bound()
  }

  dock(dock) {
    this.docks.set(dock.dock, dock)
    if (dock.flight_task) this.tasks.set(taskKey(dock.flight_task), dock.flight_task)
    this.bound()
  }

  flightTask(task) {
    this.tasks.set(taskKey(task), task)
    const dock = this.docks.get(task.dock)
    // The dock's own event may come later, or not at all if nothing else of it changed.
    if (dock && isNewer(task, dock.flight_task)) this.docks.set(task.dock, { ...dock, flight_task: task })
    this.bound()
  }

  running() {
    // In the order they began in: rows stay where they are while their tasks go on.
    return [...this.tasks.values()].filter((task) => !task.is_over).sort(by('first_ms'))
  }

  finished() {
    return [...this.tasks.values()].filter((task) => task.is_over).sort(by('last_ms'))
  }

  docksInOrder() {
    return [...this.docks.values()].sort((a, b) => serials.compare(a.dock, b.dock))
  }

  task(key) {
    return this.tasks.get(key) ?? null
  }

  bound() {
    if (this.tasks.size > FINISHED_AT_MOST) {
      const gone = [...this.finished().slice(FINISHED_AT_MOST),
        ...this.running().sort(by('last_ms')).slice(RUNNING_AT_MOST)]
      for (const task of gone) this.tasks.delete(taskKey(task))
    }
    if (this.docks.size > DOCKS_AT_MOST) {
      const gone = [...this.docks.values()].sort(by('last_ms')).slice(DOCKS_AT_MOST)
      for (const dock of gone) this.docks.delete(dock.dock)
    }
  }
}

/** The newest first; equal ones in an order that stays. */
function by(member) {
  return (a, b) => (b[member] ?? 0) - (a[member] ?? 0) || (taskKey(a) < taskKey(b) ? -1 : 1)
}

function isNewer(task, than) {
  if (!than || taskKey(task) === taskKey(than)) return true
  if (task.is_over !== than.is_over) return than.is_over
  return task.first_ms >= than.first_ms
}
