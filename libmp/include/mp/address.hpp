// SPDX-License-Identifier: BSL-1.0
// Address: where a Listener waits and a Client calls.
// Python:  the `address` and `family` of multiprocessing.connection: a str is a path, a
//          tuple (host, port) is TCP.
// Differs: a path is text, the rest is made by inet() and abstract(). A host with a
//          colon is IPv6. An abstract name is not written with its leading NUL.
// Threads: any; it is a value, and can be an argument of a Process.
// Throws:  std::invalid_argument for text that is no address of this system.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mp::connection {

/// Python's "AF_UNIX", "AF_INET", "AF_INET6".
enum class Family : std::uint8_t {
    unix_socket,  ///< a file's name, or a name of its own (abstract)
    inet,         ///< TCP over IPv4
    inet6,        ///< TCP over IPv6
};

class Address {
public:
    /// None: the Listener finds one.
    Address() = default;

    // NOLINTBEGIN(google-explicit-constructor): a path is written as what it is
    /// A path in the file system; with a leading NUL an abstract name.
    Address(std::string_view path);

    Address(const std::string& path) : Address(std::string_view(path)) {}

    Address(const char* path) : Address(std::string_view(path)) {}

    // NOLINTEND(google-explicit-constructor)

    /// Which kind of address it is.
    Family family() const noexcept { return family_; }

    /// Of a Unix-domain socket; that of a client which has no name is empty. An
    /// abstract one begins with NUL.
    const std::string& path() const noexcept { return path_; }

    /// Whether it is a Unix-domain address without a file.
    bool is_abstract() const noexcept { return path_.starts_with('\0'); }

    /// Of a TCP address; empty otherwise.
    const std::string& host() const noexcept { return host_; }

    /// Of a TCP address; 0 otherwise.
    std::uint16_t port() const noexcept { return port_; }

    /// Whether this is no address at all.
    bool empty() const noexcept { return path_.empty() && !has_port_; }

    friend bool operator==(const Address&, const Address&) = default;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        auto family = static_cast<std::uint8_t>(family_);
        archive& family& path_& host_& port_& has_port_;
        family_ = static_cast<Family>(family);
    }

private:
    friend Address inet(std::string host, std::uint16_t port);

    Family family_ = Family::unix_socket;
    std::string path_;
    std::string host_;
    std::uint16_t port_ = 0;
    bool has_port_ = false;
};

/// A TCP address. Listening: port 0 is any free one, an empty host is all interfaces.
Address inet(std::string host, std::uint16_t port);

/// A Unix-domain socket without a file: it goes with its last user, however that ends.
/// Only processes of the same network namespace can reach it.
Address abstract(std::string_view name);

/// "/tmp/x", "@name" for an abstract one, "127.0.0.1:5000", "[::1]:5000".
std::string to_string(const Address& address);

}  // namespace mp::connection
