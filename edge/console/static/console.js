// Copies a secret that is shown once, and shows the answer of a run as it comes. All but that works without it.

for (const button of document.querySelectorAll('[data-copies]')) button.hidden = false
document.addEventListener('click', async (event) => {
  const button = event.target.closest('[data-copies]')
  if (button === null) return
  const source = document.getElementById(button.dataset.copies)
  const said = document.getElementById(button.dataset.says)
  try {
    await navigator.clipboard.writeText(source.textContent)
    said.textContent = 'Copied.'
  } catch {
    getSelection().selectAllChildren(source)
    said.textContent = 'Selected: copy it with your keyboard.'
  }
})

// A run whose answer comes in as it is said. Without this the form waits for the whole of it.
for (const form of document.querySelectorAll('form[data-streams]')) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    const answer = document.getElementById(form.dataset.streams)
    const [stop, link] = answer.parentElement.querySelectorAll('[data-stops], [data-leads]')
    const button = form.querySelector('button')
    answer.textContent = ''
    answer.parentElement.hidden = false
    link.hidden = true
    button.disabled = true
    let run
    let stopped = false
    // Whoever leaves the page ends the run.
    addEventListener('beforeunload', ask)
    try {
      const response = await fetch(form.action, {
        method: 'POST',
        headers: { accept: 'text/event-stream' },
        body: new FormData(form),
      })
      if (!response.ok) {
        // A page instead of a problem: nobody is signed in any more.
        const problem = await response.json().catch(() => undefined)
        const wrong = problem?.errors
          ?.map(({ pointer, detail }) => `${pointer.slice(1)} ${detail}`)
          .join('; ')
        throw new Error(wrong ?? problem?.detail ?? 'Nothing was done. Load the page again.')
      }
      for await (const { type, data } of eventsOf(response.body)) {
        if (type === 'run') {
          run = `${form.action}/${data.id}`
          document.querySelector('[data-until-run]')?.remove()
          stop.hidden = false
          stop.onclick = () => {
            stopped = true
            return fetch(`${run}/cancel`, { method: 'POST', redirect: 'manual', body: new FormData(form) })
          }
        }
        if (type === 'delta') answer.append(data.text)
        if (type === 'error') throw new Error(data.detail)
        if (type === 'done' && data.status === 'cancelled') {
          answer.append(stopped ? ' [Stopped.]' : ' [Stopped from elsewhere, or your session has ended.]')
        }
        if (type === 'done' && data.error !== null) throw new Error(data.error.detail)
      }
    } catch (error) {
      answer.append(` [${error.message}]`)
    } finally {
      removeEventListener('beforeunload', ask)
      stop.hidden = true
      if (run !== undefined) link.href = run
      link.hidden = run === undefined
      button.disabled = false
      // Sent again, it is a new run.
      form.elements.once.value = crypto.randomUUID()
    }
  })
}

const ask = (event) => event.preventDefault()

async function* eventsOf(body) {
  let text = ''
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    text += value
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const lines = text.slice(0, end).split('\n')
      text = text.slice(end + 2)
      const field = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
      const data = field('data')
      if (data !== undefined) yield { type: field('event'), data: JSON.parse(data) }
    }
  }
}
