/** Written by build.ts; absent when the program runs from source before any build. */
declare module "#build-info" {
  const info: unknown;
  export default info;
}
