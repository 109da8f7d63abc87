/** Path of the kernel library: inside the executable, or in `.build` when run from source. */
declare module "#kernels" {
  const path: string;
  export default path;
}

/** The page's files as text: inside the executable, or in `.build/web` when run from source. */
declare module "#web/index.html" {
  const text: string;
  export default text;
}
declare module "#web/page.js" {
  const text: string;
  export default text;
}
declare module "#web/page.css" {
  const text: string;
  export default text;
}
declare module "#web/icon.svg" {
  const text: string;
  export default text;
}
