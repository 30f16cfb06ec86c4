// SPDX-License-Identifier: BSL-1.0
// Addresses to and from the kernel's form; sockets that listen, sockets that connect.
#include "wire/endpoint.hpp"

#include "mp/errors.hpp"

#include "os/check.hpp"
#include "os/new_fd.hpp"
#include "os/poll.hpp"
#include "os/socket.hpp"
#include "wire/socket_file.hpp"

#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdexcept>
#include <string>

namespace mp::detail {

namespace {

using connection::Address;
using connection::Family;

int native(Family family) noexcept {
    switch (family) {
    case Family::inet:
        return AF_INET;
    case Family::inet6:
        return AF_INET6;
    default:
        return AF_UNIX;
    }
}

Endpoint unix_endpoint(const std::string& path) {
    sockaddr_un to{};
    // A path needs room for its end, an abstract name has none.
    const std::size_t room = sizeof to.sun_path - (path.starts_with('\0') ? 0 : 1);
    if (path.size() > room) {
        os::throw_error(
            ENAMETOOLONG,
            ("the path of a Unix-domain socket has at most " + std::to_string(room) +
             " bytes: " + path)
                .c_str()
        );
    }
    to.sun_family = AF_UNIX;
    std::memcpy(to.sun_path, path.data(), path.size());
    Endpoint endpoint;
    std::memcpy(&endpoint.storage, &to, sizeof to);
    endpoint.size =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    return endpoint;
}

[[noreturn]] void throw_not_found(const Address& address, int error) {
    if (error == EAI_SYSTEM) {
        os::throw_last_error("getaddrinfo");
    }
    os::throw_error(
        EHOSTUNREACH,
        ("no address for '" + address.host() + "': " + ::gai_strerror(error)).c_str()
    );
}

std::vector<Endpoint>
inet_endpoints(const Address& address, std::optional<Family> family, bool to_listen) {
    addrinfo hints{};
    hints.ai_family = family ? native(*family) : AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | (to_listen ? AI_PASSIVE : 0);
    addrinfo* found = nullptr;
    const std::string& host = address.host();
    const int error = ::getaddrinfo(
        host.empty() ? nullptr : host.c_str(),
        std::to_string(address.port()).c_str(),
        &hints,
        &found
    );
    if (error != 0) {
        throw_not_found(address, error);
    }
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(
        found, &::freeaddrinfo
    );
    std::vector<Endpoint> endpoints;
    const auto take = [&](bool wanted) {
        for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
            if ((one->ai_family == AF_INET) == wanted) {
                Endpoint& endpoint = endpoints.emplace_back();
                std::memcpy(&endpoint.storage, one->ai_addr, one->ai_addrlen);
                endpoint.size = one->ai_addrlen;
            }
        }
    };
    // Python's AF_INET is the default; a name that has both kinds means that one.
    take(true);
    take(false);
    return endpoints;
}

UniqueFd new_socket(int family, int flags) {
    return os::new_fd("socket", [=] {
        return ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    });
}

[[noreturn]] void throw_unreachable(const Endpoint& endpoint, int error) {
    os::throw_error(error, ("connect to " + to_string(address_of(endpoint))).c_str());
}

[[noreturn]] void throw_too_slow(const Endpoint& endpoint) {
    throw TimeoutError(
        "connecting to " + to_string(address_of(endpoint)) + " timed out"
    );
}

void set_send_timeout(int socket, std::chrono::nanoseconds timeout) {
    const auto us = std::chrono::ceil<std::chrono::microseconds>(timeout).count();
    const timeval value{.tv_sec = us / 1'000'000, .tv_usec = us % 1'000'000};
    os::check(
        ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &value, sizeof value),
        "setsockopt(SO_SNDTIMEO)"
    );
}

// A Unix-domain socket whose server is busy can only be waited for inside connect(2).
UniqueFd connect_unix(const Endpoint& endpoint, const Deadline& deadline) {
    using namespace std::chrono_literals;
    UniqueFd socket = new_socket(AF_UNIX, 0);
    for (;;) {
        if (!deadline.is_forever()) {
            // 0 would be for ever.
            const auto left = deadline.remaining().duration();
            set_send_timeout(
                socket.get(), std::max<std::chrono::nanoseconds>(left, 1us)
            );
        }
        if (::connect(socket.get(), endpoint.address(), endpoint.size) == 0) {
            break;
        }
        if (os::would_block()) {
            throw_too_slow(endpoint);
        }
        if (!os::interrupted()) {
            throw_unreachable(endpoint, os::last_error().value());
        }
    }
    if (!deadline.is_forever()) {
        set_send_timeout(socket.get(), 0ns);
    }
    return socket;
}

UniqueFd connect_inet(const Endpoint& endpoint, const Deadline& deadline) {
    UniqueFd socket = new_socket(endpoint.family(), SOCK_NONBLOCK);
    int error = 0;
    if (::connect(socket.get(), endpoint.address(), endpoint.size) != 0) {
        error = os::last_error().value();
    }
    if (error == EINPROGRESS || error == EINTR) {
        if (!os::wait_writable(socket.get(), deadline)) {
            throw_too_slow(endpoint);
        }
        socklen_t size = sizeof error;
        os::check(
            ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size),
            "getsockopt(SO_ERROR)"
        );
    }
    if (error != 0) {
        throw_unreachable(endpoint, error);
    }
    os::set_blocking(socket.get());
    send_without_delay(socket.get());
    return socket;
}

}  // namespace

std::vector<Endpoint>
endpoints_of(const Address& address, std::optional<Family> family, bool to_listen) {
    const bool is_unix = address.family() == Family::unix_socket;
    const bool wants_unix = family.value_or(address.family()) == Family::unix_socket;
    if (is_unix != wants_unix) {
        throw std::invalid_argument(
            "the address " + to_string(address) + " is not of the family asked for"
        );
    }
    if (is_unix) {
        return {unix_endpoint(address.path())};
    }
    return inet_endpoints(address, family, to_listen);
}

Address address_of(const Endpoint& endpoint) {
    if (endpoint.family() == AF_UNIX) {
        constexpr auto head = offsetof(sockaddr_un, sun_path);
        if (endpoint.size <= head) {
            return {};  // a client without a name
        }
        sockaddr_un from{};
        std::memcpy(&from, &endpoint.storage, sizeof from);
        const std::string_view path(from.sun_path, endpoint.size - head);
        if (path.starts_with('\0')) {
            return path;
        }
        // Anything may stand there: the client chose it.
        const std::string file(path.substr(0, path.find('\0')));
        return file.starts_with('/') ? file : "./" + file;
    }
    std::array<char, NI_MAXHOST> host{};
    std::array<char, NI_MAXSERV> port{};
    const int error = ::getnameinfo(
        endpoint.address(),
        endpoint.size,
        host.data(),
        host.size(),
        port.data(),
        port.size(),
        NI_NUMERICHOST | NI_NUMERICSERV
    );
    if (error != 0) {
        os::throw_error(EAFNOSUPPORT, ::gai_strerror(error));
    }
    return connection::inet(
        host.data(), static_cast<std::uint16_t>(std::stoul(port.data()))
    );
}

Address bound_address(int socket) {
    Endpoint endpoint;
    os::check(::getsockname(socket, endpoint.address(), &endpoint.size), "getsockname");
    return address_of(endpoint);
}

UniqueFd listen_at(const Endpoint& endpoint, int backlog) {
    UniqueFd socket = new_socket(endpoint.family(), SOCK_NONBLOCK);
    const auto open = [&] {
        if (::bind(socket.get(), endpoint.address(), endpoint.size) != 0 ||
            ::listen(socket.get(), backlog) != 0) {
            return os::last_error();
        }
        return std::error_code();
    };
    std::error_code error;
    if (endpoint.family() == AF_UNIX) {
        const Address address = address_of(endpoint);
        error = address.is_abstract() ? open() : open_socket_file(address.path(), open);
    } else {
        // As Python does: the address is free at once when its server has ended.
        const int yes = 1;
        os::check(
            ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes),
            "setsockopt(SO_REUSEADDR)"
        );
        error = open();
    }
    if (error) {
        os::throw_error(
            error.value(), ("listen at " + to_string(address_of(endpoint))).c_str()
        );
    }
    return socket;
}

UniqueFd connect_to(const Endpoint& endpoint, const Deadline& deadline) {
    return endpoint.family() == AF_UNIX ? connect_unix(endpoint, deadline)
                                        : connect_inet(endpoint, deadline);
}

void send_without_delay(int socket) noexcept {
    const int yes = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

}  // namespace mp::detail
