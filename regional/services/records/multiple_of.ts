// `multipleOf` of JSON Schema, by the decimals that were written: 19.99 is a multiple of 0.01, though 19.99 / 0.01 is not
// whole in IEEE 754, and no tolerance tells large quotients from small ones. Pure.

interface Decimal {
  digits: bigint
  exponent: number
}

/** The shortest text of the number, which is what JSON has of it: digits × 10^exponent. */
function decimalOf(value: number): Decimal {
  const [mantissa = '', exponent = '0'] = `${value}`.split('e')
  const [whole = '', fraction = ''] = mantissa.split('.')
  return { digits: BigInt(whole + fraction), exponent: Number(exponent) - fraction.length }
}

const scaled = ({ digits, exponent }: Decimal, least: number): bigint =>
  digits * 10n ** BigInt(exponent - least)

/** @param divisor above 0 */
export function multipleOf(divisor: number): (value: number) => boolean {
  const unit = decimalOf(divisor)
  return (value) => {
    if (Number.isSafeInteger(divisor) && Number.isSafeInteger(value)) return value % divisor === 0
    const written = decimalOf(value)
    const least = Math.min(unit.exponent, written.exponent)
    return scaled(written, least) % scaled(unit, least) === 0n
  }
}
