// Files that are bundled as their text.
declare module '*.css' {
  const text: string
  export default text
}
declare module '*/console.js' {
  const text: string
  export default text
}
declare module 'htmx.org/dist/htmx.min.js' {
  const text: string
  export default text
}
