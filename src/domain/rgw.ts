/** The states of an RGW, as HAProxy's checks see them. Pure. */

/** Swift's health path under whatever prefix (`rgw_swift_url_prefix`): the one on which radosgw tells busy from taken out. */
export const isHealthPath = (path: string): boolean => /(^|\/)healthcheck$/.test(path.replace(/\?.*$/, ""));
