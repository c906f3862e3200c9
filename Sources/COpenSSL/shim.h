#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// What OpenSSL has as macros only.

static inline int cossl_set_versions(SSL_CTX *context, int least, int most) {
  return SSL_CTX_set_min_proto_version(context, least) == 1 &&
         SSL_CTX_set_max_proto_version(context, most) == 1;
}
/// No tickets, no renegotiation; the server's order of suites, as in Go, but for clients without AES in hardware.
static inline void cossl_set_options(SSL_CTX *context) {
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
}
/// What is shown is what the file holds, as in Go. Otherwise OpenSSL looks for the rest of the chain among those who are
/// trusted, verifies it at every handshake and sends the root, which the other side has to read.
static inline void cossl_set_modes(SSL_CTX *context) {
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_read_ahead(context, 1);
}
/// P-256 and others as Go has them, X25519 first.
static inline int cossl_set_groups(SSL_CTX *context) {
  return (int)SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384:P-521");
}
static inline int cossl_set_host_name(SSL *ssl, const char *name) {
  return (int)SSL_set_tlsext_host_name(ssl, name);
}
static inline int cossl_add_chain_certificate(SSL_CTX *context, X509 *certificate) {
  return (int)SSL_CTX_add1_chain_cert(context, certificate);
}
static inline void cossl_set_retry_read(BIO *bio) { BIO_set_retry_read(bio); }
static inline void cossl_clear_retry(BIO *bio) { BIO_clear_retry_flags(bio); }
static inline int cossl_reason(unsigned long error) { return ERR_GET_REASON(error); }
static inline int cossl_count_names(const GENERAL_NAMES *names) { return sk_GENERAL_NAME_num(names); }
static inline GENERAL_NAME *cossl_name_at(const GENERAL_NAMES *names, int at) {
  return sk_GENERAL_NAME_value(names, at);
}
static inline int cossl_count_certificates(const STACK_OF(X509) *chain) { return sk_X509_num(chain); }
static inline X509 *cossl_certificate_at(const STACK_OF(X509) *chain, int at) {
  return sk_X509_value(chain, at);
}
static inline int cossl_count_revoked(const STACK_OF(X509_REVOKED) *list) {
  return sk_X509_REVOKED_num(list);
}
static inline X509_REVOKED *cossl_revoked_at(const STACK_OF(X509_REVOKED) *list, int at) {
  return sk_X509_REVOKED_value(list, at);
}

/// A new key on P-521; NULL when there is no memory or no randomness.
static inline EVP_PKEY *cossl_new_key(void) { return EVP_EC_gen("P-521"); }
/// The same on P-256.
static inline EVP_PKEY *cossl_new_short_key(void) { return EVP_EC_gen("P-256"); }
/// Adds an extension of a certificate, of its text as openssl's configuration files have it.
static inline int cossl_add_extension(X509 *certificate, int kind, const char *text) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, text);
  if (extension == NULL) return 0;
  int result = X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  return result;
}
static inline long cossl_memory(BIO *bio, char **start) { return BIO_get_mem_data(bio, start); }
