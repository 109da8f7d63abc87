/** Path of the kernel library: inside the executable, or in `.build` when run from source. */
declare module "#kernels" {
  const path: string;
  export default path;
}
