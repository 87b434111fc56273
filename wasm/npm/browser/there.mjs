// Fails where there is no Chromium.
import { chromium } from "./harness.mjs";

chromium();
