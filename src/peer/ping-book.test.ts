import { describe, expect, test } from "bun:test";
import { lossWindow, PingBook } from "./ping-book.ts";

/** A book of whose pings each came back after so many milliseconds, with the other clock ahead by as many. */
function bookOf(roundTripsMs: readonly (number | null)[], skewMs = 0): PingBook {
  const book = new PingBook(2_000);
  roundTripsMs.forEach((roundTripMs, index) => {
    const sentMs = index * 5_000;
    const number = book.send(sentMs, 1_000_000 + sentMs);
    if (roundTripMs === null) return book.expire(sentMs + 2_001);
    book.answer(number, sentMs + roundTripMs, 1_000_000 + sentMs + roundTripMs / 2 + skewMs);
  });
  return book;
}

describe("C-7 pings measure a link", () => {
  test("C-7 the median round trip and skew of the latest fifteen", () => {
    const book = bookOf([...Array.from({ length: 20 }, () => 500), ...[10, 10, 10, 10, 10]], 1_234);
    expect(book.roundTripUs).toBe(500_000);
    expect(book.clockSkewMs).toBe(1_234);
    expect(bookOf(Array.from({ length: 15 }, (_, index) => index)).roundTripUs).toBe(7_000);
    expect(bookOf([1], -5_000).clockSkewMs).toBe(-5_000);
    expect(bookOf([]).roundTripUs).toBeNull();
  });

  test("C-7 loss is of the latest hundred, and a link is lossy while the latest are lost", () => {
    const book = bookOf([...Array.from({ length: 200 }, () => null), ...Array(99).fill(1)]);
    expect(lossWindow).toBe(100);
    expect(book.lossPerMillion).toBe(10_000);
    expect(book.isLossy).toBe(false);
    expect(bookOf([1, 1, null]).isLossy).toBe(true);
    expect(bookOf([1, null, 1]).isLossy).toBe(false);
    expect(bookOf([null, null, 1]).isLossy).toBe(true);
    expect(bookOf([null, null, ...Array(9).fill(1)]).isLossy).toBe(false);
  });

  test("C-7 an answer that is late, unasked for or comes twice tells nothing", () => {
    const book = new PingBook(2_000);
    const number = book.send(0, 0);
    book.expire(2_000);
    expect(book.lossPerMillion).toBe(0);
    book.expire(2_001);
    book.answer(number, 2_002, 0);
    book.answer(77, 2_002, 0);
    expect([book.lossPerMillion, book.roundTripUs]).toEqual([1_000_000, null]);
    const next = book.send(3_000, 0);
    book.answer(next, 3_010, 0);
    book.answer(next, 3_500, 0);
    expect([book.lossPerMillion, book.roundTripUs]).toEqual([500_000, 10_000]);
  });

  test("C-7 a probe measures what the line carries beyond the round trip", () => {
    const book = bookOf([10]);
    expect(book.bytesPerSecond).toBeNull();
    const probe = book.send(10_000, 0, 262_144);
    book.answer(probe, 10_110, 0);
    expect(book.bytesPerSecond).toBe(2_621_440);
    expect(book.roundTripUs).toBe(10_000);
    // A probe that is as quick as a ping is no division by nothing.
    const quick = book.send(20_000, 0, 262_144);
    book.answer(quick, 20_010, 0);
    expect(book.bytesPerSecond).toBe(2_621_440_000);
  });

  test("C-7 what was on the way when a connection ended is neither lost nor waited for", () => {
    const book = new PingBook(2_000);
    const number = book.send(0, 0);
    book.forget();
    book.expire(9_000);
    book.answer(number, 9_000, 0);
    expect([book.lossPerMillion, book.roundTripUs]).toEqual([0, null]);
    for (let index = 0; index < 100; index++) book.send(10_000, 0);
    expect(book.lossPerMillion).toBe(1_000_000);
  });
});
