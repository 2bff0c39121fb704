/* oids.h - the object identifiers of KMS's envelope, as DER content. Private to this folder. */
#ifndef CMS_OIDS_H
#define CMS_OIDS_H

/* 1.2.840.113549.1.7.3 and 1.2.840.113549.1.7.1 (RFC 5652 sections 6.1 and 4) */
#define OID_ENVELOPED_DATA "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03"
#define OID_DATA           "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"
/* 1.2.840.113549.1.1.7 and 1.2.840.113549.1.1.8 (RFC 8017 appendix C) */
#define OID_RSAES_OAEP "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07"
#define OID_MGF1       "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08"
/* 2.16.840.1.101.3.4.2.1 and 2.16.840.1.101.3.4.1.42 (NIST) */
#define OID_SHA256     "\x60\x86\x48\x01\x65\x03\x04\x02\x01"
#define OID_AES256_CBC "\x60\x86\x48\x01\x65\x03\x04\x01\x2a"

#endif
