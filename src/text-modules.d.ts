/** Assets are imported as text: declares them as strings. */
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
declare module "*.path" {
  const text: string;
  export default text;
}
declare module "*.timer" {
  const text: string;
  export default text;
}
