// Who looks at the page.

import { post } from './api.js'
import { byId, setText } from './dom.js'
import { tell } from './site.js'
import { visible } from './words.js'

export class Login {
  /** `on` has `in(login)` and `out()`. */
  constructor(on) {
    this.on = on
    byId('login-form').addEventListener('submit', (event) => {
      event.preventDefault()
      this.logIn()
    })
    byId('logout').addEventListener('click', () => this.logOut())
  }

  /** Shows the form, or who it is. */
  show(login) {
    const isAsked = login.is_needed && login.user === null
    const wasAsked = !byId('login').hidden
    byId('login').hidden = !isAsked
    byId('main').hidden = isAsked
    document.querySelector('nav').hidden = isAsked
    byId('who').hidden = !login.is_needed || isAsked
    setText(byId('who-name'), login.user === null ? '' : `${visible(login.user, 40)} (${visible(login.role, 20)})`)
    if (isAsked && !wasAsked) byId(byId('login-user').value ? 'login-password' : 'login-user').focus()
    if (!isAsked && wasAsked) byId('main').focus()
  }

  async logIn() {
    const [user, password, button] = ['login-user', 'login-password', 'login-button'].map(byId)
    button.disabled = true
    this.error('')
    try {
      const login = await post('/api/v1/login', { user: user.value, password: password.value })
      password.value = ''
      this.on.in(login)
    } catch (error) {
      this.error(refusal(error))
      password.select()
      password.focus()
    } finally {
      button.disabled = false
    }
  }

  async logOut() {
    try {
      await post('/api/v1/logout', {})
      this.error('')
    } catch (error) {
      // A session that is over already is what was asked for.
      if (error.status !== 401) {
        tell(`Not logged out: ${visible(error.message, 200)}`)
        setText(byId('logout'), 'Log out (failed, try again)')
        return
      }
    }
    setText(byId('logout'), 'Log out')
    this.on.out()
  }

  error(text) {
    setText(byId('login-error'), text)
  }
}

function refusal({ status, message, retryAfter }) {
  if (status === 401) return 'The user or the password is wrong.'
  if (status === 429) {
    const seconds = Number(retryAfter)
    return `Too many attempts. Try again in ${seconds > 0 ? `${seconds} s` : 'a minute'}.`
  }
  return visible(message, 200)
}
