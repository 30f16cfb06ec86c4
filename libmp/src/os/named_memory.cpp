// SPDX-License-Identifier: BSL-1.0
#include "os/named_memory.hpp"

#include "mp/detail/shm.hpp"

#include "os/check.hpp"
#include "os/credentials.hpp"
#include "os/new_fd.hpp"

#include <climits>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <stdexcept>

// Only defined for _GNU_SOURCE in some headers; the value is Linux's ABI.
#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37
#endif

namespace mp::os {

namespace {

// Where glibc's shm_open() looks, too.
constexpr const char* directory = "/dev/shm";

// To ask how much memory there is takes longer than to make a small segment.
constexpr std::size_t worth_asking = std::size_t{16} << 20U;

// A signal undoes what one fallocate() did so far; one that comes again and again must
// not keep a large segment from ever being finished.
constexpr std::size_t allocated_at_once = std::size_t{64} << 20U;

std::string path_of(const std::string& name) {
    return std::string(directory) + '/' + name;
}

[[noreturn]] void throw_error_about(int error, const std::string& name) {
    throw_error(error, ("shared memory '" + name + "'").c_str());
}

// False when another process's lock is in the way.
bool try_lock(int fd, short type) {
    struct flock whole {};
    whole.l_type = type;
    whole.l_whence = SEEK_SET;
    const int result = restarting([&] { return ::fcntl(fd, F_OFD_SETLK, &whole); });
    if (result < 0 && !would_block() && last_error().value() != EACCES) {
        throw_last_error("fcntl(F_OFD_SETLK)");
    }
    return result == 0;
}

void allocate(int fd, std::size_t size) {
    for (std::size_t done = 0; done < size;) {
        const std::size_t part = std::min(size - done, allocated_at_once);
        check_restarting(
            ("shared memory of " + std::to_string(size) + " bytes").c_str(),
            [&] {
                return ::fallocate(
                    fd, 0, static_cast<off_t>(done), static_cast<off_t>(part)
                );
            }
        );
        done += part;
    }
}

std::optional<FileId> id_at(const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
        if (last_error().value() == ENOENT) {
            return std::nullopt;
        }
        throw_last_error(path.c_str());
    }
    return FileId{status.st_dev, status.st_ino};
}

}  // namespace

FileId file_id(int fd) {
    struct stat status {};
    check(::fstat(fd, &status), "fstat");
    return {status.st_dev, status.st_ino};
}

std::string checked_memory_name(std::string_view name) {
    if (name.find('\0') != std::string_view::npos) {
        throw std::invalid_argument("a name of shared memory has an embedded NUL");
    }
    name.remove_prefix(std::min(name.find_first_not_of('/'), name.size()));
    std::string checked(name);
    if (checked.size() > NAME_MAX) {
        throw_error_about(ENAMETOOLONG, checked);
    }
    if (checked.empty() || checked == "." || checked == ".." ||
        checked.find('/') != std::string::npos) {
        throw_error_about(EINVAL, checked);
    }
    return checked;
}

UniqueFd make_memory(std::size_t size) {
    mp::detail::check_file_size_limit(size);
    if (size > static_cast<std::size_t>(PTRDIFF_MAX)) {
        throw_error(
            ENOMEM, ("shared memory of " + std::to_string(size) + " bytes").c_str()
        );
    }
    if (size >= worth_asking) {
        mp::detail::check_available_memory(size, "shared memory");
    }
    constexpr mode_t owner_only = 0600;
    UniqueFd fd = new_fd(directory, [] {
        return ::open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, owner_only);
    });
    allocate(fd.get(), size);
    try_lock(fd.get(), F_RDLCK);
    return fd;
}

void name_memory(int fd, const std::string& name) {
    const std::string path = path_of(name);
    if (::linkat(fd, "", AT_FDCWD, path.c_str(), AT_EMPTY_PATH) == 0) {
        return;
    }
    if (last_error().value() != EEXIST) {
        // Older kernels want a privilege for the empty path.
        const std::string self = "/proc/self/fd/" + std::to_string(fd);
        if (::linkat(
                AT_FDCWD, self.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW
            ) == 0) {
            return;
        }
    }
    throw_error_about(last_error().value(), name);
}

UniqueFd open_memory(const std::string& name, Owner owner) {
    const std::string path = path_of(name);
    // Nothing else in that directory must be able to lead or to stop us.
    constexpr int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    UniqueFd fd = try_new_fd([&] { return ::open(path.c_str(), flags); });
    if (!fd) {
        throw_error_about(last_error().value(), name);
    }
    struct stat status {};
    check(::fstat(fd.get(), &status), "fstat");
    if (!S_ISREG(status.st_mode)) {
        throw_error_about(EINVAL, name);
    }
    // Of what is open, not of what has the name by now.
    if (owner == Owner::us_or_root && !belongs_to_own_user_or_root(fd.get())) {
        throw_error(
            EACCES,
            ("shared memory '" + name + "' is of user " +
             std::to_string(status.st_uid) +
             ", who could change its size and content at any time; .any_user = true "
             "attaches all the same")
                .c_str()
        );
    }
    // Only a process that removes it is in the way. Without a name left, it has been
    // removed.
    if (!try_lock(fd.get(), F_RDLCK)) {
        throw_error_about(ENOENT, name);
    }
    check(::fstat(fd.get(), &status), "fstat");
    if (status.st_nlink == 0) {
        throw_error_about(ENOENT, name);
    }
    return fd;
}

std::size_t memory_size(int fd) {
    struct stat status {};
    check(::fstat(fd, &status), "fstat");
    return static_cast<std::size_t>(status.st_size);
}

void remove_memory(const std::string& name, const FileId& id) {
    const std::string path = path_of(name);
    if (id_at(path) != id) {
        throw_error_about(ENOENT, name);
    }
    if (::unlink(path.c_str()) != 0) {
        throw_error_about(last_error().value(), name);
    }
}

bool has_name(const std::string& name, const FileId& id) {
    return id_at(path_of(name)) == id;
}

Sweep sweep_memory(const std::string& name, const FileId& id) {
    const std::string path = path_of(name);
    if (id_at(path) != id) {
        return Sweep::gone;
    }
    constexpr int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    const UniqueFd fd = try_new_fd([&] { return ::open(path.c_str(), flags); });
    if (!fd) {
        if (last_error().value() == ENOENT) {
            return Sweep::gone;
        }
        throw_error_about(last_error().value(), name);
    }
    // Held until the name is gone: nobody can begin to use it in between, and a second
    // sweeper leaves it to us.
    if (!try_lock(fd.get(), F_WRLCK)) {
        return Sweep::in_use;
    }
    if (file_id(fd.get()) != id) {
        return Sweep::gone;
    }
    if (::unlink(path.c_str()) != 0 && last_error().value() != ENOENT) {
        throw_error_about(last_error().value(), name);
    }
    return Sweep::removed;
}

}  // namespace mp::os
