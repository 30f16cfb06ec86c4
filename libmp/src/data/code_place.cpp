// SPDX-License-Identifier: BSL-1.0
// Modules as a signal handler may look for them, and symbols out of files.
#include "data/code_place.hpp"

#include "mp/fd.hpp"

#include "data/module.hpp"
#include "os/new_fd.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <span>
#include <utility>

namespace mp::detail {

namespace {

/// Read, not mapped: it may be cut short meanwhile.
class ElfFile {
public:
    /// Empty unless the file has that build-id.
    ElfFile(const char* path, std::string_view build_id) {
        // Whatever the path names: a FIFO without a writer is not waited for.
        UniqueFd fd = os::try_new_fd([path] {
            return ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        });
        struct stat status {};
        if (fd && ::fstat(fd.get(), &status) == 0 && S_ISREG(status.st_mode) &&
            build_id_of_file(fd.get()) == build_id) {
            fd_ = std::move(fd);
        }
    }

    /// How much of `to` the file fills from there on: less where it ends.
    std::size_t read(std::uint64_t offset, std::span<char> to) const {
        std::size_t filled = 0;
        while (fd_ && offset <= most_offset && filled < to.size()) {
            const ssize_t got = ::pread(
                fd_.get(),
                to.data() + filled,
                to.size() - filled,
                static_cast<off_t>(offset + filled)
            );
            if (got <= 0) {
                break;
            }
            filled += static_cast<std::size_t>(got);
        }
        return filled;
    }

    /// False if the file does not reach that far.
    template <class T>
    bool read(std::uint64_t offset, T& to) const {
        return read(offset, {reinterpret_cast<char*>(&to), sizeof(T)}) == sizeof(T);
    }

    /// The text that ends with a 0 before `end`; empty if there is none.
    std::string text(std::uint64_t offset, std::uint64_t end) const {
        std::string read_so_far;
        while (offset < end && read_so_far.size() < longest_name) {
            std::array<char, 512> piece;
            const std::size_t got = read(
                offset,
                std::span(piece).first(
                    std::min<std::uint64_t>(piece.size(), end - offset)
                )
            );
            const std::size_t length = ::strnlen(piece.data(), got);
            read_so_far.append(piece.data(), length);
            if (length < got) {
                return read_so_far;
            }
            if (got == 0) {
                break;
            }
            offset += got;
        }
        return {};
    }

private:
    static constexpr std::uint64_t most_offset = std::uint64_t{1} << 62U;
    static constexpr std::size_t longest_name = std::size_t{1} << 20U;

    UniqueFd fd_;
};

/// Looks through a table of symbols, piece by piece: that of a large program has many
/// megabytes. Until `found` says true, or the table ends.
template <class Found>
void for_each_symbol(const ElfFile& file, const ElfW(Shdr) & table, Found found) {
    constexpr std::uint64_t most_bytes = std::uint64_t{256} << 20U;  // more is no table
    std::array<ElfW(Sym), 512> piece;
    for (std::uint64_t at = 0; at < table.sh_size && table.sh_size <= most_bytes;) {
        const std::size_t most =
            std::min<std::uint64_t>(sizeof piece, table.sh_size - at);
        const std::size_t got = file.read(
            table.sh_offset + at, {reinterpret_cast<char*>(piece.data()), most}
        );
        for (std::size_t i = 0; i < got / sizeof(ElfW(Sym)); ++i) {
            if (found(piece[i])) {
                return;
            }
        }
        if (got < most) {
            return;
        }
        at += got;
    }
}

/// The function symbol of `table` that covers `address`.
std::string symbol_in(
    const ElfFile& file,
    const ElfW(Shdr) & table,
    const ElfW(Shdr) & strings,
    std::uint64_t address
) {
    std::string name;
    for_each_symbol(file, table, [&](const ElfW(Sym) & symbol) {
        if ((symbol.st_info & 0xf) == STT_FUNC && symbol.st_shndx != SHN_UNDEF &&
            address - symbol.st_value < std::max<std::uint64_t>(symbol.st_size, 1)) {
            name = file.text(
                strings.sh_offset + symbol.st_name, strings.sh_offset + strings.sh_size
            );
        }
        return !name.empty();
    });
    return name;
}

std::string
symbol_in_tables(const ElfFile& file, std::uint32_t kind, std::uint64_t address) {
    ElfW(Ehdr) header;
    if (!file.read(0, header)) {
        return {};
    }
    const auto section = [&](std::uint64_t index, ElfW(Shdr) & to) {
        return file.read(header.e_shoff + index * sizeof to, to);
    };
    for (unsigned i = 0; i < header.e_shnum; ++i) {
        ElfW(Shdr) table;
        ElfW(Shdr) strings;
        if (section(i, table) && table.sh_type == kind &&
            section(table.sh_link, strings)) {
            return symbol_in(file, table, strings, address);
        }
    }
    return {};
}

/// What a module is mapped at, and what the loader knows of it.
struct Mapped {
    const link_map* map = nullptr;
    const char* begin = nullptr;
    const char* end = nullptr;
};

bool find_mapped(void* address, Mapped& found) noexcept {
#ifdef DLFO_STRUCT_HAS_EH_DBASE
    dl_find_object object{};
    if (::_dl_find_object(address, &object) != 0) {
        return false;
    }
    found.map = object.dlfo_link_map;
    found.begin = static_cast<const char*>(object.dlfo_map_start);
    found.end = static_cast<const char*>(object.dlfo_map_end);
#else
    // A C library before 2.35: takes the loader's lock, as its backtrace() does.
    Dl_info symbol{};
    link_map* map = nullptr;
    if (::dladdr1(address, &symbol, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) ==
        0) {
        return false;
    }
    found.map = map;
    found.begin = static_cast<const char*>(symbol.dli_fbase);
    found.end = static_cast<const char*>(address);
#endif
    return found.map != nullptr;
}

}  // namespace

std::optional<LoadedCode> loaded_code_at(std::uintptr_t address) noexcept {
    Mapped found;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address found by arithmetic
    if (!find_mapped(reinterpret_cast<void*>(address), found)) {
        return std::nullopt;
    }
    LoadedCode code;
    code.base = found.map->l_addr;
    if (found.map->l_name != nullptr) {
        code.path = path_loaded_as(found.map->l_name);
    }
    const auto size = static_cast<std::size_t>(found.end - found.begin);
    code.build_id = build_id_in_memory({found.begin, size});
    return code;
}

std::string symbol_at(const CodePlace& place) {
    try {
        const ElfFile file(place.path.c_str(), place.build_id);
        auto name = symbol_in_tables(file, SHT_SYMTAB, place.offset);
        return !name.empty() ? name : symbol_in_tables(file, SHT_DYNSYM, place.offset);
    } catch (const std::bad_alloc&) {
        return {};  // the file may say that its tables are large
    }
}

}  // namespace mp::detail
