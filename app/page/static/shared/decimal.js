// Exact decimal arithmetic on the API's texts ("150.25"). Prices and quantities never become floating-point numbers,
// except to draw a line or a bar.

const NUMBER = /^\s*([+-]?)(\d*)(?:\.(\d*))?\s*$/;

/** The number in a text as {digits: BigInt, places: integer}; null where the text is none. */
export function parse(text) {
  const match = typeof text === "string" ? NUMBER.exec(text) : null;
  if (!match || (!match[2] && !match[3]) || text.length > 64) return null;
  const fraction = match[3] ?? "";
  const digits = BigInt((match[2] || "") + fraction || "0");
  return { digits: match[1] === "-" ? -digits : digits, places: fraction.length };
}

const scaled = (value, places) => value.digits * 10n ** BigInt(places - value.places);

export const times = (a, b) => ({ digits: a.digits * b.digits, places: a.places + b.places });

export function plus(a, b) {
  const places = Math.max(a.places, b.places);
  return { digits: scaled(a, places) + scaled(b, places), places };
}

export const minus = (a, b) => plus(a, { digits: -b.digits, places: b.places });

/** Negative, zero or positive, as a is less than, equal to or more than b. */
export function compare(a, b) {
  const { digits } = minus(a, b);
  return digits < 0n ? -1 : digits > 0n ? 1 : 0;
}

/** Rounded half-even to so many places. */
export function round(value, places) {
  if (value.places <= places) return { digits: scaled(value, places), places };
  const unit = 10n ** BigInt(value.places - places);
  const negative = value.digits < 0n;
  const digits = negative ? -value.digits : value.digits;
  let whole = digits / unit;
  const twice = (digits % unit) * 2n;
  if (twice > unit || (twice === unit && whole % 2n === 1n)) whole += 1n;
  return { digits: negative ? -whole : whole, places };
}

/** Plain notation with thousands apart. */
export function text(value) {
  const negative = value.digits < 0n;
  const digits = (negative ? -value.digits : value.digits).toString().padStart(value.places + 1, "0");
  const whole = digits.slice(0, digits.length - value.places).replace(/\B(?=(\d{3})+$)/g, ",");
  const fraction = value.places ? `.${digits.slice(-value.places)}` : "";
  return `${negative ? "−" : ""}${whole}${fraction}`;
}

/** As a floating-point number: for widths and heights only. */
export const approximately = (value) => Number(value.digits) / 10 ** value.places;

/** A quantity as it is; "–" for none. */
export function quantity(given) {
  const value = parse(given);
  return value ? text(value) : "–";
}

/** A price: every digit it has, and two at least; averages to four. */
export function price(given, most = 9) {
  const value = parse(given);
  if (!value) return "–";
  return text(value.places < 2 ? round(value, 2) : value.places > most ? trimmed(round(value, most)) : value);
}

function trimmed(value) {
  let { digits, places } = value;
  while (places > 2 && digits % 10n === 0n) {
    digits /= 10n;
    places -= 1;
  }
  return { digits, places };
}

const SIGNS = { USD: "$", EUR: "€", GBP: "£" };

/** An amount of money to the cent: "$1,234.50". `signed` puts a plus before what is above zero. */
export function money(given, currency = "USD", signed = false) {
  const value = typeof given === "string" ? parse(given) : given;
  if (!value) return "–";
  const cents = round(value, 2);
  const amount = { digits: cents.digits < 0n ? -cents.digits : cents.digits, places: 2 };
  const sign = cents.digits < 0n ? "−" : signed && cents.digits > 0n ? "+" : "";
  return SIGNS[currency] ? `${sign}${SIGNS[currency]}${text(amount)}` : `${sign}${text(amount)} ${currency}`;
}

/** Below, at or above zero: -1, 0, 1; 0 for what is no number. */
export function sign(given) {
  const value = typeof given === "string" ? parse(given) : given;
  return !value || value.digits === 0n ? 0 : value.digits < 0n ? -1 : 1;
}

/** part/whole between 0 and 1 for a bar. */
export function share(part, whole) {
  const a = parse(part), b = parse(whole);
  if (!a || !b || b.digits === 0n) return 0;
  return Math.min(1, Math.max(0, approximately(a) / approximately(b)));
}
