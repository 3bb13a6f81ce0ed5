/** Assets are imported as text; the compiler only has to know that they are strings. */
declare module "*.conf" {
  const text: string;
  export default text;
}
declare module "*.cfg" {
  const text: string;
  export default text;
}
declare module "*.ini" {
  const text: string;
  export default text;
}
declare module "*.sh" {
  const text: string;
  export default text;
}
declare module "*.service" {
  const text: string;
  export default text;
}
declare module "*.nft" {
  const text: string;
  export default text;
}
declare module "*.timer" {
  const text: string;
  export default text;
}
