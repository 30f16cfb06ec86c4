// SPDX-License-Identifier: BSL-1.0
// hash_files: each file is opened, looked at and read through one buffer.
#include "hash_files.hpp"

#include "mp/fd.hpp"

#include "meter.hpp"
#include "os/check.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <exception>
#include <memory>
#include <new>
#include <span>

namespace mpsum {

namespace {

constexpr std::size_t buffer_size = 512 * 1024;

FileResult failure() {
    FileResult result;
    result.error = mp::os::last_error().value();
    return result;
}

FileResult stopped(Outcome outcome) {
    FileResult result;
    result.outcome = outcome;
    return result;
}

/// Digest and buffer of this process, kept from batch to batch.
class Reader {
public:
    explicit Reader(Algorithm algorithm)
        : algorithm_(algorithm),
          digest_(algorithm),
          buffer_(std::make_unique<std::byte[]>(buffer_size)) {}

    Algorithm algorithm() const noexcept { return algorithm_; }

    FileResult read_all(int fd) {
        FileResult result;
        for (;;) {
            const auto count = mp::os::restarting([&] {
                return ::read(fd, buffer_.get(), buffer_size);
            });
            if (count < 0) {
                result = failure();
                digest_.finish();  // forget the half
                return result;
            }
            if (count == 0) {
                result.outcome = Outcome::hashed;
                result.text = digest_.finish();
                return result;
            }
            const auto size = static_cast<std::size_t>(count);
            result.bytes += size;
            count_bytes(size);
            digest_.update(std::span(buffer_.get(), size));
        }
    }

private:
    Algorithm algorithm_;
    Digest digest_;
    std::unique_ptr<std::byte[]> buffer_;
};

FileResult hash_file(Reader& reader, Origin origin, const char* name, bool alone) {
    // O_NONBLOCK: opening a FIFO must not wait for its writer. It means nothing to
    // regular files.
    int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    if (origin == Origin::walked) {
        flags |= O_NOFOLLOW;
    }
    const mp::UniqueFd fd(mp::os::restarting([&] { return ::open(name, flags); }));
    struct stat about {};
    if (!fd || ::fstat(fd.get(), &about) != 0) {
        return failure();
    }
    if (S_ISDIR(about.st_mode)) {
        return stopped(Outcome::directory);
    }
    if (!S_ISREG(about.st_mode) && !S_ISBLK(about.st_mode)) {
        return stopped(Outcome::special);
    }
    const auto size = static_cast<std::uint64_t>(about.st_size);
    if (size > large_file && !alone) {
        return stopped(Outcome::large);
    }
    if (size > buffer_size) {
        ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);  // advice only
    }
    return reader.read_all(fd.get());
}

}  // namespace

std::vector<FileResult>
hash_files(Algorithm algorithm, Origin origin, std::vector<std::string> names) {
    static std::unique_ptr<Reader> reader;
    std::vector<FileResult> results;
    results.reserve(names.size());
    for (const std::string& name : names) {
        try {
            if (!reader || reader->algorithm() != algorithm) {
                reader = std::make_unique<Reader>(algorithm);
            }
            results.push_back(
                hash_file(*reader, origin, name.c_str(), names.size() == 1)
            );
        } catch (const std::bad_alloc&) {
            reader.reset();  // half fed
            throw;           // if there is a limit it is told as that
        } catch (const std::exception& error) {
            reader.reset();
            FileResult result = stopped(Outcome::refused);
            result.text = error.what();
            results.push_back(std::move(result));
        }
    }
    return results;
}

std::vector<FileResult> hash_stdin(Algorithm algorithm) {
    Reader reader(algorithm);
    return {reader.read_all(STDIN_FILENO)};
}

}  // namespace mpsum
