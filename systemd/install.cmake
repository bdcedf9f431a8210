# Installs the unit, which names the program by its whole path, and the helper of mount(8). Set by the caller: `source`,
# this folder, and where things go without DESTDIR: `prefix`, `bin`, `sbin`, `units`.
set(destdir "$ENV{DESTDIR}")

file(READ "${source}/entrofs@.service" unit)
string(REPLACE "/usr/bin/entrofs" "${bin}/entrofs" unit "${unit}")
file(WRITE "${destdir}${units}/entrofs@.service" "${unit}")
message(STATUS "Installing: ${destdir}${units}/entrofs@.service")

# sbin/mount.entrofs -> ../bin/entrofs
file(RELATIVE_PATH program "${sbin}" "${bin}/entrofs")
file(MAKE_DIRECTORY "${destdir}${sbin}")
file(CREATE_LINK "${program}" "${destdir}${sbin}/mount.entrofs" SYMBOLIC)
message(STATUS "Installing: ${destdir}${sbin}/mount.entrofs")

# A package's tree is not where it will be used.
if(NOT destdir STREQUAL "")
  return()
endif()
if(NOT prefix MATCHES "^/usr/?$")
  message("For `mount -t entrofs` and fstab, mount(8) looks in /sbin alone: ln -s ${bin}/entrofs /sbin/mount.entrofs")
endif()
if(NOT prefix MATCHES "^/usr(/local)?/?$")
  message("For systemd: systemctl link ${units}/entrofs@.service")
else()
  message("For systemd: systemctl daemon-reload")
endif()
