// SPDX-License-Identifier: BSL-1.0
// Addresses from text, and as text.
#include "mp/address.hpp"

#include <stdexcept>
#include <utility>

namespace mp::connection {

Address::Address(std::string_view path) : path_(path) {
    if (path.empty()) {
        throw std::invalid_argument(
            "an empty path is no address (leave the address out to have one found; "
            "mp::connection::abstract(name) makes one without a file)"
        );
    }
    if (path.starts_with(R"(\\)")) {
        throw std::invalid_argument(
            "'" + path_ + "' is the address of a Windows pipe; there are none here"
        );
    }
    if (!path.starts_with('\0') && path.find('\0') != std::string_view::npos) {
        throw std::invalid_argument("a path has no NUL in it");
    }
}

Address inet(std::string host, std::uint16_t port) {
    Address address;
    address.family_ =
        host.find(':') == std::string::npos ? Family::inet : Family::inet6;
    address.host_ = std::move(host);
    address.port_ = port;
    address.has_port_ = true;
    return address;
}

Address abstract(std::string_view name) {
    std::string path(1, '\0');
    path += name;
    return path;
}

std::string to_string(const Address& address) {
    switch (address.family()) {
    case Family::inet:
        return address.host() + ":" + std::to_string(address.port());
    case Family::inet6:
        return "[" + address.host() + "]:" + std::to_string(address.port());
    default:
        return address.is_abstract() ? "@" + address.path().substr(1) : address.path();
    }
}

}  // namespace mp::connection
