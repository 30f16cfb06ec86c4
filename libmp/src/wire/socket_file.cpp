// SPDX-License-Identifier: BSL-1.0
// A socket's file: taken, replaced if its server is dead, removed if it is still the
// same.
#include "wire/socket_file.hpp"

#include "mp/detail/type_tag.hpp"
#include "mp/fd.hpp"

#include "os/check.hpp"
#include "os/new_fd.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace mp::detail {

namespace {

// Of a kind that no Listener has.
UniqueFd new_socket() {
    constexpr int type = SOCK_DGRAM | SOCK_CLOEXEC;
    return os::new_fd("socket(AF_UNIX)", [] { return ::socket(AF_UNIX, type, 0); });
}

template <class Call>
int call_at(Call call, int socket, const std::string& path) noexcept {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::memcpy(to.sun_path, path.data(), path.size());
    const auto size = offsetof(sockaddr_un, sun_path) + path.size();
    return call(
        socket, reinterpret_cast<const sockaddr*>(&to), static_cast<socklen_t>(size)
    );
}

// Held by the process that makes or replaces this file. An abstract socket: the kernel
// frees it with its holder, however that ends.
UniqueFd take_path(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    const std::string directory =
        slash == std::string::npos ? "." : path.substr(0, slash + 1);
    struct stat place {};
    if (::stat(directory.c_str(), &place) != 0) {
        return {};  // bind will say it
    }
    const std::string name =
        std::string("\0libmp-listen-", 14) + std::to_string(place.st_dev) + "-" +
        std::to_string(place.st_ino) + "-" +
        std::to_string(hash_of(path.substr(slash == std::string::npos ? 0 : slash + 1))
        );
    UniqueFd lock = new_socket();
    if (call_at(::bind, lock.get(), name) != 0) {
        os::throw_error(
            os::last_error().value(),
            ("another process is taking this address: " + path).c_str()
        );
    }
    return lock;
}

// A socket that no process holds any more: then the kernel refuses a datagram socket. A
// server that lives, even one that does not listen yet, is of another kind, and notices
// nothing.
bool is_left_over(const std::string& path) {
    struct stat file {};
    if (::lstat(path.c_str(), &file) != 0 || !S_ISSOCK(file.st_mode)) {
        return false;
    }
    const UniqueFd probe = new_socket();
    return call_at(::connect, probe.get(), path) != 0 &&
           os::last_error().value() == ECONNREFUSED;
}

}  // namespace

std::error_code open_socket_file(
    const std::string& path, const std::function<std::error_code()>& open
) {
    const UniqueFd lock = take_path(path);
    const std::error_code error = open();
    const bool replace = error.value() == EADDRINUSE && is_left_over(path) &&
                         ::unlink(path.c_str()) == 0;
    return replace ? open() : error;
}

SocketFile::SocketFile(const std::string& path)
    : path_(std::filesystem::absolute(path).string()) {
    struct stat file {};
    if (::lstat(path_.c_str(), &file) == 0) {
        device_ = file.st_dev;
        inode_ = file.st_ino;
    }
}

void SocketFile::remove() const noexcept {
    struct stat file {};
    if (::lstat(path_.c_str(), &file) == 0 && file.st_dev == device_ &&
        file.st_ino == inode_) {
        ::unlink(path_.c_str());
    }
}

}  // namespace mp::detail
