// What is wrong with a value that a person gave: the field, and a sentence with the remedy.
// Any thread; the caller's storage.
#pragma once

#include <stdio.h>

#define MODEL_FIELD_MAX 64
#define MODEL_PROBLEM_MAX 256

/* code: a number of the API's error list (doc/api.md; 1100 to 1199 are ours, listed below). */
struct model_problem {
	int code;
	char field[MODEL_FIELD_MAX]; /* JSON pointer such as "/interface_address"; empty: the whole */
	char text[MODEL_PROBLEM_MAX];
};

void model_problem_set(struct model_problem *p, int code, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* API error codes. Numbers below 1100 and from 7000 on are the product's own. */
enum model_code {
	MODEL_CODE_OTHER = 1000,
	MODEL_CODE_ROUTE_NOT_FOUND = 1020,
	MODEL_CODE_BAD_BODY = 1022,
	MODEL_CODE_TUNNEL_NOT_FOUND = 1032,
	MODEL_CODE_NAME = 1100,
	MODEL_CODE_NAME_TAKEN = 1101,
	MODEL_CODE_ENDPOINT = 1102,
	MODEL_CODE_INTERFACE_ADDRESS = 1103,
	MODEL_CODE_ADDRESS_CLASH = 1104,
	MODEL_CODE_PSK = 1105,
	MODEL_CODE_HEALTH_CHECK = 1106,
	MODEL_CODE_UNSUPPORTED = 1107,
	MODEL_CODE_TEXT = 1108,
	MODEL_CODE_PREFIX = 1110,
	MODEL_CODE_NEXTHOP = 1111,
	MODEL_CODE_PRIORITY = 1112,
	MODEL_CODE_WEIGHT = 1113,
	MODEL_CODE_SCOPE = 1114,
	MODEL_CODE_ROUTE_DUPLICATE = 1115,
	MODEL_CODE_ROUTE_LIMIT = 1116,
	MODEL_CODE_ONRAMP = 1120,
	MODEL_CODE_ACCOUNT = 1121,
	MODEL_CODE_TOKEN = 1122,
	MODEL_CODE_IN_USE = 1123,
	MODEL_CODE_UNKNOWN_FIELD = 1124,
};
