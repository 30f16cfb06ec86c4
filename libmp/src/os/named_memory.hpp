// SPDX-License-Identifier: BSL-1.0
// named_memory: files in /dev/shm, as shm_open(3) finds them, also CPython's.
//
// A new file gets its name last, when its memory is there: no other process sees one
// that is half made. A process that uses a file holds a shared lock on it
// (F_OFD_SETLK), which the kernel keeps for as long as any process has the file open or
// mapped, so a process that cleans up can ask whether it is still in use. CPython takes
// no such lock.
#pragma once

#include "mp/fd.hpp"

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace mp::os {

/// Which file it is, whatever its name.
struct FileId {
    dev_t device = 0;
    ino_t inode = 0;

    friend bool operator==(const FileId&, const FileId&) = default;
};

FileId file_id(int fd);

/// Without leading slashes. Throws std::invalid_argument for an embedded NUL,
/// std::system_error: EINVAL for no name at all or a slash inside, ENAMETOOLONG.
std::string checked_memory_name(std::string_view name);

/// `size` bytes of zeros, without a name, locked as in use. Throws std::system_error
/// (ENOSPC: /dev/shm is full), ResourceLimitExceeded.
UniqueFd make_memory(std::size_t size);

/// Throws std::system_error(EEXIST) when the name is taken.
void name_memory(int fd, const std::string& name);

/// Whose memory may be opened.
enum class Owner : bool { us_or_root, anybody };

/// Locked as in use. Throws std::system_error: ENOENT, also when it is being removed
/// right now; EINVAL when it is no regular file; EACCES, also when it belongs to a user
/// who is not meant.
UniqueFd open_memory(const std::string& name, Owner owner = Owner::us_or_root);

/// Its size by now; 0 while CPython is still making it.
std::size_t memory_size(int fd);

/// Removes the name if it still belongs to that file, in use or not. Throws
/// std::system_error, ENOENT when it does not.
void remove_memory(const std::string& name, const FileId& id);

/// Does the name belong to that file?
bool has_name(const std::string& name, const FileId& id);

enum class Sweep { removed, gone, in_use };

/// Removes the name if it still belongs to that file and no living process of this
/// library uses it. Throws std::system_error.
Sweep sweep_memory(const std::string& name, const FileId& id);

}  // namespace mp::os
