// Places in the headers of IP, TCP and UDP that splitting and merging edit.
// Inside wire only. RFC 791 3.1, RFC 8200 3, RFC 9293 3.1, RFC 768.
#pragma once

enum { IP4_LEN_AT = 2, IP4_ID_AT = 4, IP4_SUM_AT = 10, IP6_LEN_AT = 4 };
enum { TCP_SEQ_AT = 4, TCP_FLAGS_AT = 13, TCP_SUM_AT = 16, TCP_LEN_MIN = 20 };
enum { UDP_LEN_AT = 4, UDP_SUM_AT = 6, UDP_LEN = 8 };
enum { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_PSH = 0x08, TCP_ACK = 0x10, TCP_URG = 0x20, TCP_ECE = 0x40,
       TCP_CWR = 0x80 };
