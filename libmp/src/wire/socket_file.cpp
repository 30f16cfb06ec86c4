// SPDX-License-Identifier: BSL-1.0
// A socket's file: taken, replaced if its server is dead, removed if it is still the
// same.
#include "wire/socket_file.hpp"

#include "mp/fd.hpp"

#include "os/check.hpp"
#include "os/failpoint.hpp"
#include "os/new_fd.hpp"

#include <fcntl.h>
#include <sys/file.h>
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

// The lock that a server holds while it replaces a dead one's file: a file beside it,
// which only those can make, or hold, who may write the directory.
class ReplacementLock {
public:
    // Throws std::system_error: EADDRINUSE when another process holds it, or when it
    // is there and not ours to take.
    explicit ReplacementLock(const std::string& path) : path_(lock_path(path)) {
        // Each turn that fails is one in which another server came to its end.
        for (int turn = 0; turn < 100; ++turn) {
            // Not every file system gives a file to the user who makes it.
            bool may_be_locked = open_lock(O_CREAT | O_EXCL);
            if (!may_be_locked) {
                if (os::last_error().value() != EEXIST) {
                    throw_not_ours(path, os::last_error());
                }
                if (!open_lock(0)) {
                    if (os::last_error().value() == ENOENT) {
                        continue;
                    }
                    throw_not_ours(path, os::last_error());
                }
                may_be_locked = is_ours();
            }
            if (!may_be_locked) {
                throw_not_ours(
                    path, std::make_error_code(std::errc::permission_denied)
                );
            }
            if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
                break;
            }
            // Its last holder may have removed it while we opened it.
            if (has_the_name()) {
                return;
            }
        }
        os::throw_error(
            EADDRINUSE, ("another process is taking this address: " + path).c_str()
        );
    }

    // While it is held: then what is removed is ours.
    ~ReplacementLock() { ::unlink(path_.c_str()); }

    ReplacementLock(const ReplacementLock&) = delete;
    ReplacementLock& operator=(const ReplacementLock&) = delete;

private:
    // Absolute: it is removed in the directory in which it was made, even if another
    // thread changes the working directory.
    static std::string lock_path(const std::string& path) {
        const std::filesystem::path socket = std::filesystem::absolute(path);
        return socket.parent_path() / ("." + socket.filename().string() + ".mp-lock");
    }

    bool open_lock(int how) {
        // Not opened again to get a higher number: it can be made only once.
        const os::ClosedStreamsHeld held;
        file_ = os::lifted(os::restarting([this, how] {
            return ::open(
                path_.c_str(),
                O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | how,
                0600
            );
        }));
        return static_cast<bool>(file_);
    }

    // Of another user it would be a lock that this one can hold for ever.
    bool is_ours() const {
        struct stat file {};
        os::check(::fstat(file_.get(), &file), "fstat");
        return S_ISREG(file.st_mode) && file.st_uid == ::geteuid() &&
               file.st_nlink <= 1;
    }

    bool has_the_name() const {
        struct stat file {};
        struct stat named {};
        return ::fstat(file_.get(), &file) == 0 &&
               ::lstat(path_.c_str(), &named) == 0 && named.st_dev == file.st_dev &&
               named.st_ino == file.st_ino;
    }

    [[noreturn]] void throw_not_ours(const std::string& path, std::error_code why) {
        const bool no_room = why == std::errc::too_many_files_open ||
                             why == std::errc::too_many_files_open_in_system ||
                             why == std::errc::no_space_on_device;
        os::throw_error(
            no_room ? why.value() : EADDRINUSE,
            (path + " is the socket of a server that has ended, and it cannot be " +
             "replaced, because " + path_ + " cannot be locked by this user (" +
             why.message() + "); remove the socket")
                .c_str()
        );
    }

    const std::string path_;
    UniqueFd file_;
};

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
    // Nobody else can do anything about a path that is free.
    const std::error_code error = open();
    if (error.value() != EADDRINUSE || !is_left_over(path)) {
        return error;
    }
    const ReplacementLock lock(path);
    MP_FAILPOINT("socket file: locked");
    // Another server may have replaced it until we had the lock.
    if (is_left_over(path) && ::unlink(path.c_str()) != 0) {
        return error;
    }
    MP_FAILPOINT("socket file: removed");
    return open();
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
