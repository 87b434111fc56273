/** The module in base64. */
export declare const text: string;
