// What Lambda loads: it looks for JavaScript, and Node reads the rest as it is.
export { buffered, handler } from '../../regional/lambda.ts'
