// SPDX-License-Identifier: BSL-1.0
#include "os/check.hpp"

#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

namespace mp::os {

std::error_code last_error() noexcept {
    return {errno, std::generic_category()};
}

void set_last_error(int error) noexcept {
    errno = error;
}

void clear_error() noexcept {
    errno = 0;
}

bool interrupted() noexcept {
    return errno == EINTR;
}

bool would_block() noexcept {
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

bool peer_is_gone(const std::system_error& error) noexcept {
    const int code = error.code().value();
    return code == EPIPE || code == ECONNRESET || code == ENOTCONN;
}

namespace {

// Calls that a kernel may not have, or a sandbox may refuse, and since when Linux has
// them. The name is what the caller says that failed.
struct NewerCall {
    std::string_view name;
    const char* since;
    bool refuses = true;  ///< EPERM is no answer of the call itself
};

constexpr std::array newer_calls{
    NewerCall{"pidfd_open", "5.3"},
    NewerCall{"pidfd_send_signal", "5.1", false},
    NewerCall{"waitid(P_PIDFD)", "5.4"},
    NewerCall{"memfd_create", "3.17"},
    NewerCall{"getrandom", "3.17"},
    NewerCall{"eventfd", "2.6.27"},
    NewerCall{"epoll_create1", "2.6.27"},
    NewerCall{"timerfd_create", "2.6.25"},
    NewerCall{"pipe2", "2.6.27"},
};

// Is that the answer of a kernel that does not know the call, or of a sandbox?
bool says_unknown(int error, const NewerCall& call) {
    return error == ENOSYS || (error == EPERM && call.refuses) ||
           (error == EINVAL && call.name == "waitid(P_PIDFD)");
}

}  // namespace

void throw_last_error(const char* what) {
    throw_error(last_error().value(), what);
}

void throw_error(int error, const char* what) {
    for (const NewerCall& call : newer_calls) {
        if (call.name == what && says_unknown(error, call)) {
            throw std::system_error(
                error,
                std::generic_category(),
                std::string(what) + "() is needed, which Linux has since " +
                    call.since +
                    ": this kernel is older, or a sandbox (seccomp) "
                    "refuses the call"
            );
        }
    }
    throw std::system_error(error, std::generic_category(), what);
}

}  // namespace mp::os
