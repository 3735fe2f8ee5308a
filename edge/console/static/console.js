// Copies a secret that is shown once, and asks before what cannot be undone. Everything works without it, but for the copying.

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
