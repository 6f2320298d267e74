//! CONNECT packets that must be refused (section 3.1).

use dockside_mqtt::ReasonCode::{MalformedPacket, UnsupportedProtocolVersion};
use dockside_mqtt::Version::{V5, V31, V311};

use crate::Broken;

#[rustfmt::skip]
pub(crate) const BROKEN: &[Broken] = &[
    // The protocol's name and level.
    ("[MQTT-3.1.2-1] another name", V311, "10 0d  0004 'MQTX' 04  02  003c  0001 'c'", MalformedPacket),
    ("[MQTT-3.1.2-1] another name", V5, "10 0e  0004 'mqtt' 05  02  003c  00  0001 'c'", MalformedPacket),
    ("[MQTT-3.1.2-1] a name cut short", V5, "10 0d  0003 'MQT' 05  02  003c  00  0001 'c'", MalformedPacket),
    ("[MQTT-3.1.2-1] no name", V311, "10 09  0000 04  02  003c  0001 'c'", MalformedPacket),
    ("[MQTT-3.1.2-2] level 6", V311, "10 0d  0004 'MQTT' 06  02  003c  0001 'c'", UnsupportedProtocolVersion),
    ("[MQTT-3.1.2-2] level 0", V311, "10 0d  0004 'MQTT' 00  02  003c  0001 'c'", UnsupportedProtocolVersion),
    ("[MQTT-3.1.2-2] level 3 under the name of 3.1.1", V311, "10 0d  0004 'MQTT' 03  02  003c  0001 'c'", UnsupportedProtocolVersion),
    ("[MQTT-3.1.2-2] level 4 under the name of 3.1", V31, "10 0f  0006 'MQIsdp' 04  02  003c  0001 'c'", UnsupportedProtocolVersion),
    ("[MQTT-3.1.2-2] level 131, of a bridge", V31, "10 0f  0006 'MQIsdp' 83  02  003c  0001 'c'", UnsupportedProtocolVersion),
    // The flags.
    ("[MQTT-3.1.2-3] the reserved flag", V5, "10 0e  0004 'MQTT' 05  03  003c  00  0001 'c'", MalformedPacket),
    ("[MQTT-3.1.2-3] the reserved flag", V311, "10 0d  0004 'MQTT' 04  03  003c  0001 'c'", MalformedPacket),
    ("[MQTT-3.1.2-11] will QoS 1 without a will", V5, "10 0e  0004 'MQTT' 05  0a  003c  00  0001 'c'", MalformedPacket),
    ("[MQTT-3.1.2-11] will QoS 2 without a will", V5, "10 0e  0004 'MQTT' 05  12  003c  00  0001 'c'", MalformedPacket),
    ("[MQTT-3.1.2-11] will QoS 1 without a will", V311, "10 0d  0004 'MQTT' 04  0a  003c  0001 'c'", MalformedPacket),
    ("[MQTT-3.1.2-13] will retain without a will", V5, "10 0e  0004 'MQTT' 05  22  003c  00  0001 'c'", MalformedPacket),
    ("3.1.1, section 3.1.2.7: will retain without a will", V311, "10 0d  0004 'MQTT' 04  22  003c  0001 'c'", MalformedPacket),
    ("[MQTT-3.1.2-12] will QoS 3", V5, "10 15  0004 'MQTT' 05  1e  003c  00  0001 'c'  00 0001 'w' 0001 'x'", MalformedPacket),
    ("3.1.1, section 3.1.2.6: will QoS 3", V311, "10 13  0004 'MQTT' 04  1e  003c  0001 'c'  0001 'w' 0001 'x'", MalformedPacket),
    ("3.1.1, section 3.1.2.9: a password without a user name", V311, "10 10  0004 'MQTT' 04  42  003c  0001 'c'  0001 'p'", MalformedPacket),
    ("3.1: a password without a user name", V31, "10 12  0006 'MQIsdp' 03  42  003c  0001 'c'  0001 'p'", MalformedPacket),
    // The payload is what the flags say.
    ("[MQTT-2.2.2-1] no property length", V5, "10 0d  0004 'MQTT' 05  02  003c  0001 'c'", MalformedPacket),
    ("[MQTT-2.2.2-1] no length of the will's properties", V5, "10 14  0004 'MQTT' 05  06  003c  00  0001 'c'  0001 'w' 0001 'x'", MalformedPacket),
    ("[MQTT-3.1.3-3] no client identifier", V5, "10 0b  0004 'MQTT' 05  02  003c  00", MalformedPacket),
    ("[MQTT-3.1.3-3] no client identifier", V311, "10 0a  0004 'MQTT' 04  02  003c", MalformedPacket),
    ("[MQTT-3.1.2-9] the will is missing", V5, "10 0e  0004 'MQTT' 05  06  003c  00  0001 'c'", MalformedPacket),
    ("[MQTT-3.1.2-9] the will's topic is missing", V5, "10 0f  0004 'MQTT' 05  06  003c  00  0001 'c'  00", MalformedPacket),
    ("[MQTT-3.1.2-9] the will's payload is missing", V5, "10 12  0004 'MQTT' 05  06  003c  00  0001 'c'  00 0001 'w'", MalformedPacket),
    ("[MQTT-3.1.2-9] the will is missing", V311, "10 0d  0004 'MQTT' 04  06  003c  0001 'c'", MalformedPacket),
    ("[MQTT-3.1.2-16] a user name without its flag", V5, "10 11  0004 'MQTT' 05  02  003c  00  0001 'c'  0001 'u'", MalformedPacket),
    ("[MQTT-3.1.2-17] a flag without the user name", V5, "10 0e  0004 'MQTT' 05  82  003c  00  0001 'c'", MalformedPacket),
    ("[MQTT-3.1.2-17] half a user name", V5, "10 11  0004 'MQTT' 05  82  003c  00  0001 'c'  0002 'u'", MalformedPacket),
    ("[MQTT-3.1.2-18] a password without its flag", V5, "10 14  0004 'MQTT' 05  82  003c  00  0001 'c'  0001 'u'  0001 'p'", MalformedPacket),
    ("[MQTT-3.1.2-19] a flag without the password", V5, "10 11  0004 'MQTT' 05  c2  003c  00  0001 'c'  0001 'u'", MalformedPacket),
    ("[MQTT-3.1.2-19] half a password", V5, "10 14  0004 'MQTT' 05  c2  003c  00  0001 'c'  0001 'u'  0009 'p'", MalformedPacket),
    ("3.1.1, section 3.1.2.8: a flag without the user name", V311, "10 0d  0004 'MQTT' 04  82  003c  0001 'c'", MalformedPacket),
    ("3.1.1, section 3.1.2.9: a flag without the password", V311, "10 10  0004 'MQTT' 04  c2  003c  0001 'c'  0001 'u'", MalformedPacket),
    ("3.1: half a user name", V31, "10 10  0006 'MQIsdp' 03  82  003c  0001 'c'  00", MalformedPacket),
    ("3.1: half a password", V31, "10 15  0006 'MQIsdp' 03  c2  003c  0001 'c'  0001 'u'  0009 'p'", MalformedPacket),
    ("[MQTT-3.1.4-1] bytes behind the end", V311, "10 0e  0004 'MQTT' 04  02  003c  0001 'c'  00", MalformedPacket),
    ("[MQTT-3.1.4-1] bytes behind the end", V31, "10 10  0006 'MQIsdp' 03  02  003c  0001 'c'  00", MalformedPacket),
    ("[MQTT-3.1.4-1] nothing", V5, "10 00", MalformedPacket),
];
