// SPDX-License-Identifier: BSL-1.0
// The marks of children: an environment variable, and the name of a socket.
#include "process/child_mark.hpp"

#include "os/credentials.hpp"
#include "os/random.hpp"
#include "util/hex.hpp"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string_view>

namespace mp::detail {
namespace {

using namespace std::string_view_literals;

constexpr const char* variable = "LIBMP_CHILD";
// A name of Linux alone, which no file has and which ends with the socket.
constexpr auto prefix = "\0libmp-child/"sv;
// More descriptors than that are not looked at.
constexpr rlim_t max_looked_at = 1U << 16U;

/// The name of our own children's sockets before they are started, too.
std::string prefix_of(pid_t parent) {
    return std::string(prefix) + std::to_string(parent) + "/";
}

std::string_view name_of_socket(int fd, sockaddr_un& room) noexcept {
    socklen_t size = sizeof room;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&room), &size) != 0 ||
        room.sun_family != AF_UNIX || size <= offsetof(sockaddr_un, sun_path)) {
        return {};
    }
    const auto length = size - offsetof(sockaddr_un, sun_path);
    return {room.sun_path, std::min<std::size_t>(length, sizeof room.sun_path)};
}

bool has_marked_socket() {
    const std::string own = prefix_of(::getpid());
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const int end = static_cast<int>(std::min(limit.rlim_cur, max_looked_at));
    for (int fd = 3; fd < end; ++fd) {
        sockaddr_un room{};
        const std::string_view name = name_of_socket(fd, room);
        if (name.starts_with(prefix) && !name.starts_with(own)) {
            return true;
        }
    }
    return false;
}

bool look_for_marks() noexcept {
    try {
        return is_started_child() || (!os::was_given_rights() && has_marked_socket());
    } catch (const std::exception&) {
        return false;  // no memory: nothing will be started either
    }
}

}  // namespace

std::string child_variable() {
    return std::string(variable) + "=" + std::to_string(::getpid());
}

void mark_socket(const UniqueFd& socket) noexcept {
    try {
        std::array<std::byte, 8> unique{};
        os::random_bytes(unique);
        const std::string name = prefix_of(::getpid()) + to_hex(unique);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, name.data(), name.size());
        const auto size = offsetof(sockaddr_un, sun_path) + name.size();
        // If it cannot have one, there is the other mark.
        static_cast<void>(::bind(
            socket.get(),
            reinterpret_cast<const sockaddr*>(&address),
            static_cast<socklen_t>(size)
        ));
    } catch (const std::exception&) {
        return;
    }
}

bool is_started_child() noexcept {
    const char* const parent = std::getenv(variable);
    // Others may have it from a process between; their parent is another one.
    return parent != nullptr && std::atol(parent) == ::getppid() &&
           !os::was_given_rights();
}

bool bears_child_mark() noexcept {
    // No static of the function: a fork in another thread might leave it locked.
    enum : int { unknown, no, yes };
    static constinit std::atomic<int> known{unknown};
    int mark = known.load();
    if (mark == unknown) {
        mark = look_for_marks() ? yes : no;
        known.store(mark);
    }
    return mark == yes;
}

void remove_child_variable() noexcept {
    ::unsetenv(variable);
}

}  // namespace mp::detail
